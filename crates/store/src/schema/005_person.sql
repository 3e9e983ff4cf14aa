-- People who sign in. Moments are microseconds since 1970-01-01 UTC.
CREATE TABLE person (
    -- The principal they are.
    name        TEXT    NOT NULL PRIMARY KEY,
    -- The name in small letters: nobody is called like somebody else but for that.
    folded      TEXT    NOT NULL UNIQUE,
    -- What an authenticator knows them by: random, so that it tells nothing.
    handle      BLOB    NOT NULL UNIQUE CHECK (length(handle) = 32),
    -- Argon2id, with its parameters and salt, as a PHC string; none until they have chosen a password.
    password    TEXT,
    -- The secret of their one-time passwords, sealed, and the last step of which one was used.
    totp        BLOB,
    totp_step   INTEGER NOT NULL,
    created_at  INTEGER NOT NULL,
    disabled_at INTEGER
) STRICT, WITHOUT ROWID;

-- Codes for whoever has lost what makes the others, each good once. They are random, so a plain digest is enough.
CREATE TABLE recovery_code (
    digest BLOB NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    person TEXT NOT NULL REFERENCES person (name) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX recovery_code_of ON recovery_code (person);

CREATE TABLE passkey (
    id           BLOB    NOT NULL PRIMARY KEY,
    person       TEXT    NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    -- A SubjectPublicKeyInfo in DER, and the COSE number of what it signs with.
    public_key   BLOB    NOT NULL,
    algorithm    INTEGER NOT NULL,
    -- How often it signed, as it says itself.
    counter      INTEGER NOT NULL,
    label        TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX passkey_of ON passkey (person);

-- Links with which somebody chooses a password, each good once. Of its secret only the digest is kept.
CREATE TABLE invitation (
    digest     BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    person     TEXT    NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX invitation_of ON invitation (person);

-- Browsers in which somebody is signed in. Of the cookie only the digest is kept.
CREATE TABLE web_session (
    digest      BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    person      TEXT    NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    begun_at    INTEGER NOT NULL,
    -- To the minute.
    seen_at     INTEGER NOT NULL,
    -- When each was last proven.
    password_at INTEGER,
    otp_at      INTEGER,
    passkey_at  INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX web_session_of ON web_session (person);
