-- A key that was never used has a row too, with 0: so one index puts all keys of a workspace in the order of their last
-- use. SQLite adds no column that must be said without a default; every row says it.
ALTER TABLE api_key_uses ADD COLUMN workspace_id TEXT NOT NULL DEFAULT '';
UPDATE api_key_uses SET workspace_id = (SELECT workspace_id FROM api_keys WHERE api_keys.id = api_key_uses.key_id);
INSERT INTO api_key_uses (key_id, last_used_at, last_used_ip, workspace_id)
    SELECT id, 0, '', workspace_id FROM api_keys WHERE id NOT IN (SELECT key_id FROM api_key_uses);
DROP INDEX api_key_uses_by_time;
CREATE INDEX api_key_uses_by_time ON api_key_uses (workspace_id, last_used_at, key_id);

-- A key that never expires comes after the last instant that one may expire at.
DROP INDEX api_keys_by_expiration;
CREATE INDEX api_keys_by_expiration ON api_keys (workspace_id, COALESCE(expires_at, 253402300800000), id);
CREATE INDEX api_keys_by_last_four ON api_keys (workspace_id, last_four);
DROP INDEX api_keys_by_role;
CREATE INDEX api_keys_by_role ON api_keys (role_id, id);
