-- What was changed and is not in the audit log yet: whoever changes something writes it here in the same transaction, and
-- the gateway, which alone writes to the log, takes it out once it is there.
CREATE TABLE event (
    id     INTEGER NOT NULL PRIMARY KEY,
    at     INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    -- A JSON object.
    fields TEXT    NOT NULL
) STRICT;
