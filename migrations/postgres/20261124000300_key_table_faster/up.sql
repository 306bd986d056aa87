-- With the workspace in them, keys of a role or an owner are counted without a look at their rows.
DROP INDEX api_keys_by_role;
CREATE INDEX api_keys_by_role ON api_keys (role_id, workspace_id, id);
DROP INDEX api_keys_by_owner;
CREATE INDEX api_keys_by_owner ON api_keys (owner_id, workspace_id, id);
