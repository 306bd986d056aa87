DROP INDEX api_keys_by_owner;
CREATE INDEX api_keys_by_owner ON api_keys (owner_id, id);
DROP INDEX api_keys_by_role;
CREATE INDEX api_keys_by_role ON api_keys (role_id, id);
