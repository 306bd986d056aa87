-- With the workspace in them, keys of a role or an owner are counted without a look at their rows.
DROP INDEX api_keys_by_role;
CREATE INDEX api_keys_by_role ON api_keys (role_id, workspace_id, id);
DROP INDEX api_keys_by_owner;
CREATE INDEX api_keys_by_owner ON api_keys (owner_id, workspace_id, id);

-- By which three letters in a row names are found: an index that SQLite knows as tables. It holds no rows of ours, so that
-- PostgreSQL has none of them, and what begins with two underscores is no table that the queries are written for. The
-- triggers keep it, whoever writes.
--
-- The index wants integers that stay as they are when the file is vacuumed, which those of `api_keys` do not.
CREATE TABLE __api_key_places (
    place INTEGER NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    key_id TEXT NOT NULL UNIQUE
);
CREATE VIRTUAL TABLE __api_key_names
    USING fts5 (name, content = '', contentless_delete = 1, tokenize = 'trigram case_sensitive 1');
-- The same index, read letters first: for texts that are too short to be looked for in it.
CREATE VIRTUAL TABLE __api_key_letters USING fts5vocab (__api_key_names, 'instance');

INSERT INTO __api_key_places (workspace_id, key_id) SELECT workspace_id, id FROM api_keys;
-- With two more at the end, which no name has, three letters begin at each letter of the name.
INSERT INTO __api_key_names (rowid, name)
    SELECT place, lower(name) || char(1, 1) FROM __api_key_places JOIN api_keys ON id = key_id;

CREATE TRIGGER __api_key_made AFTER INSERT ON api_keys BEGIN
    INSERT INTO __api_key_places (workspace_id, key_id) VALUES (new.workspace_id, new.id);
    INSERT INTO __api_key_names (rowid, name)
        SELECT place, lower(new.name) || char(1, 1) FROM __api_key_places WHERE key_id = new.id;
END;
CREATE TRIGGER __api_key_renamed AFTER UPDATE OF name ON api_keys WHEN new.name <> old.name BEGIN
    UPDATE __api_key_names SET name = lower(new.name) || char(1, 1)
        WHERE rowid = (SELECT place FROM __api_key_places WHERE key_id = new.id);
END;
CREATE TRIGGER __api_key_deleted AFTER DELETE ON api_keys BEGIN
    DELETE FROM __api_key_names WHERE rowid = (SELECT place FROM __api_key_places WHERE key_id = old.id);
    DELETE FROM __api_key_places WHERE key_id = old.id;
END;
