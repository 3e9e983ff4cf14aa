-- What somebody has to agree to, or to prove who they are for, before it is done, and what came of it. Moments are
-- microseconds since 1970-01-01 UTC.
CREATE TABLE approval (
    id          TEXT    NOT NULL PRIMARY KEY,
    -- Of exactly what is asked for; a yes is good for nothing else.
    digest      BLOB    NOT NULL CHECK (length(digest) = 32),
    -- On whose behalf it is asked for.
    principal   TEXT    NOT NULL,
    server      TEXT    NOT NULL,
    -- Such as `tool pay`.
    what        TEXT    NOT NULL,
    -- What asks and why, and who may agree: a JSON object.
    asks        TEXT    NOT NULL,
    -- The parameters, sealed; empty once nobody has to see them any more.
    sealed      BLOB    NOT NULL,
    needs_yes   INTEGER NOT NULL CHECK (needs_yes IN (0, 1)),
    needs_proof INTEGER NOT NULL CHECK (needs_proof IN (0, 1)),
    -- Whether whoever asks may not agree.
    four_eyes   INTEGER NOT NULL CHECK (four_eyes IN (0, 1)),
    created_at  INTEGER NOT NULL,
    -- From when on it is good for nothing.
    expires_at  INTEGER NOT NULL CHECK (expires_at > created_at),
    yes_at      INTEGER,
    yes_by      TEXT,
    proof_at    INTEGER,
    proof_by    TEXT,
    denied_at   INTEGER,
    denied_by   TEXT,
    -- What whoever decided says about it.
    reason      TEXT    NOT NULL,
    -- When it was spent: once it is set, nothing passes because of it.
    used_at     INTEGER,
    CHECK (needs_yes = 1 OR needs_proof = 1),
    CHECK (four_eyes = 0 OR yes_by IS NULL OR yes_by <> principal)
) STRICT, WITHOUT ROWID;

CREATE INDEX approval_of ON approval (principal, digest);
