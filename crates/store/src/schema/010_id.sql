-- What this database is called wherever something of it lies outside: in the keyring, with its master key. The one row is made with
-- the table, by whoever takes this step, and stays whatever happens to the file and to the keys.
CREATE TABLE this_store (
    id TEXT NOT NULL
);
