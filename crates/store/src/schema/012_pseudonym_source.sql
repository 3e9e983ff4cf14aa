-- Who brought a value first, such as a server; nobody for those from before this was kept.
ALTER TABLE pseudonym ADD COLUMN source TEXT NOT NULL DEFAULT '';

-- How many rows of `pseudonym` each brought that are there still: to count them each time would take the longer the more there are.
CREATE TABLE vault_source (
    tenant  TEXT    NOT NULL,
    source  TEXT    NOT NULL,
    entries INTEGER NOT NULL,
    PRIMARY KEY (tenant, source)
) STRICT, WITHOUT ROWID;

-- By whatever statement a row comes or goes, also with its subject.
CREATE TRIGGER pseudonym_comes AFTER INSERT ON pseudonym WHEN new.source <> '' BEGIN
    INSERT INTO vault_source (tenant, source, entries) VALUES (new.tenant, new.source, 1)
        ON CONFLICT (tenant, source) DO UPDATE SET entries = entries + 1;
END;

CREATE TRIGGER pseudonym_goes AFTER DELETE ON pseudonym WHEN old.source <> '' BEGIN
    UPDATE vault_source SET entries = entries - 1 WHERE tenant = old.tenant AND source = old.source;
    DELETE FROM vault_source WHERE tenant = old.tenant AND source = old.source AND entries <= 0;
END;
