-- What authorization servers gave for people to use servers with. Moments are microseconds since 1970-01-01 UTC.
CREATE TABLE upstream_token (
    -- What the server is called in the configuration.
    server      TEXT    NOT NULL,
    -- On whose behalf; `*` for everybody.
    principal   TEXT    NOT NULL,
    -- Who gave it.
    issuer      TEXT    NOT NULL,
    -- What it was given for, and is never sent elsewhere.
    resource    TEXT    NOT NULL,
    -- The tokens, and all it takes to renew them, sealed.
    sealed      BLOB    NOT NULL,
    scope       TEXT    NOT NULL,
    obtained_at INTEGER NOT NULL,
    -- When the access token ends, if that was said.
    expires_at  INTEGER,
    -- Since when somebody renews it. What was sent for that may have used up what it takes to renew it.
    renewing_at INTEGER,
    -- When it turned out that it is good for nothing any more.
    ended_at    INTEGER,
    PRIMARY KEY (server, principal)
) STRICT, WITHOUT ROWID;
