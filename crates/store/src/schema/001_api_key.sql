-- Keys that clients authenticate with. Of a key only the digest of its secret is kept.
CREATE TABLE api_key (
    id           TEXT    NOT NULL PRIMARY KEY,
    digest       BLOB    NOT NULL CHECK (length(digest) = 32),
    -- On whose behalf its holder acts.
    principal    TEXT    NOT NULL,
    -- Texts separated by spaces.
    roles        TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    note         TEXT    NOT NULL,
    -- Moments are microseconds since 1970-01-01 UTC.
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL CHECK (expires_at > created_at),
    revoked_at   INTEGER,
    last_used_at INTEGER,
    -- The key in whose place it came.
    replaces     TEXT    REFERENCES api_key (id)
) STRICT, WITHOUT ROWID;

CREATE INDEX api_key_of ON api_key (principal);
