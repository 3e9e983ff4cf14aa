-- Clients that registered themselves. Moments are microseconds since 1970-01-01 UTC.
CREATE TABLE oauth_client (
    id            TEXT    NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL,
    -- Texts separated by spaces.
    redirect_uris TEXT    NOT NULL,
    refreshes     INTEGER NOT NULL,
    registered_at INTEGER NOT NULL,
    -- When somebody last agreed to something with it.
    used_at       INTEGER
) STRICT, WITHOUT ROWID;

-- What a person agreed to, with whom: nothing is given without.
CREATE TABLE consent (
    person       TEXT    NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    client       TEXT    NOT NULL,
    -- As the client has said it, without the port that it happened to have.
    redirect_uri TEXT    NOT NULL,
    resource     TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    agreed_at    INTEGER NOT NULL,
    PRIMARY KEY (person, client, redirect_uri, resource)
) STRICT, WITHOUT ROWID;

-- What a client was given: one for each time that somebody agreed and the client came for it.
CREATE TABLE oauth_grant (
    id           TEXT    NOT NULL PRIMARY KEY,
    person       TEXT    NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    client       TEXT    NOT NULL,
    client_name  TEXT    NOT NULL,
    resource     TEXT    NOT NULL,
    scopes       TEXT    NOT NULL,
    -- The thumbprint of the client's key, if its tokens are bound to one.
    proof_key    TEXT,
    -- When and by what the person had signed in.
    signed_in_at INTEGER NOT NULL,
    methods      TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    expires_at   INTEGER NOT NULL,
    used_at      INTEGER,
    refreshes    INTEGER NOT NULL DEFAULT 0,
    ended_at     INTEGER,
    ended_by     TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX oauth_grant_of ON oauth_grant (person, client);

-- Codes on their way to a client. Of a code only the digest is kept.
CREATE TABLE authorization_code (
    digest         BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    person         TEXT    NOT NULL REFERENCES person (name) ON DELETE CASCADE,
    client         TEXT    NOT NULL,
    client_name    TEXT    NOT NULL,
    redirect_uri   TEXT    NOT NULL,
    registered_uri TEXT    NOT NULL,
    challenge      BLOB    NOT NULL CHECK (length(challenge) = 32),
    resource       TEXT    NOT NULL,
    scopes         TEXT    NOT NULL,
    proof_key      TEXT,
    refreshes      INTEGER NOT NULL,
    signed_in_at   INTEGER NOT NULL,
    methods        TEXT    NOT NULL,
    created_at     INTEGER NOT NULL,
    expires_at     INTEGER NOT NULL,
    -- When it was shown, and what was given for it.
    used_at        INTEGER,
    given          TEXT    REFERENCES oauth_grant (id) ON DELETE SET NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX authorization_code_of ON authorization_code (person, client);
CREATE INDEX authorization_code_for ON authorization_code (given);

-- Refresh tokens, also those that were used: one that comes twice ends what it is of.
CREATE TABLE refresh_token (
    digest  BLOB    NOT NULL PRIMARY KEY CHECK (length(digest) = 32),
    of      TEXT    NOT NULL REFERENCES oauth_grant (id) ON DELETE CASCADE,
    used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_token_of ON refresh_token (of);

-- Keys that access tokens are signed with.
CREATE TABLE signing_key (
    id         TEXT    NOT NULL PRIMARY KEY,
    -- The private one, sealed.
    sealed     BLOB    NOT NULL,
    -- From when on it signs; before, it is only shown.
    signs_from INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
