-- What makes names of a tenant's data, and how many of them are kept. Moments are microseconds since 1970-01-01 UTC.
CREATE TABLE vault (
    tenant     TEXT    NOT NULL PRIMARY KEY,
    -- The key that names are made with, sealed.
    sealed     BLOB    NOT NULL,
    -- The rows of `pseudonym`: to count them each time would take the longer the more there are.
    entries    INTEGER NOT NULL CHECK (entries >= 0),
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Whom values are about, each with a key of their own: without it nothing of theirs opens.
CREATE TABLE subject (
    tenant       TEXT    NOT NULL,
    id           TEXT    NOT NULL,
    -- The key, sealed.
    sealed       BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER NOT NULL,
    -- No sooner than that of any of their values.
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX subject_until ON subject (expires_at);

-- What a pseudonym stands for.
CREATE TABLE pseudonym (
    tenant       TEXT    NOT NULL,
    purpose      TEXT    NOT NULL,
    token        TEXT    NOT NULL,
    kind         TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    -- The value, under the key of its subject.
    value        BLOB    NOT NULL,
    created_at   INTEGER NOT NULL,
    -- To the minute.
    last_used_at INTEGER NOT NULL,
    -- From when on it is nobody's.
    expires_at   INTEGER NOT NULL,
    PRIMARY KEY (tenant, purpose, token),
    FOREIGN KEY (tenant, subject) REFERENCES subject (tenant, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX pseudonym_of ON pseudonym (tenant, subject);
CREATE INDEX pseudonym_until ON pseudonym (expires_at);
