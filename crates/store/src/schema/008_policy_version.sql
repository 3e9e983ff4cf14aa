-- The policies that were in force, each time that they became other ones. Moments are microseconds since 1970-01-01 UTC.
CREATE TABLE policy_version (
    number  INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    -- What it is called in records.
    version TEXT    NOT NULL,
    since   INTEGER NOT NULL,
    -- Such as `start` and `reload`.
    cause   TEXT    NOT NULL,
    -- All of it, as JSON.
    content TEXT    NOT NULL
) STRICT;
