-- Keys that content of the store is sealed with, one in use for each purpose. They are wrapped: sealed themselves, with
-- the master key, which is not in the database.
CREATE TABLE data_key (
    -- 8 random bytes; what was sealed begins with them.
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 8),
    purpose    TEXT    NOT NULL,
    wrapped    BLOB    NOT NULL,
    created_at INTEGER NOT NULL,
    -- From when on nothing is sealed with it any more.
    retired_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX data_key_in_use ON data_key (purpose) WHERE retired_at IS NULL;
