DROP INDEX api_keys_by_role;
CREATE INDEX api_keys_by_role ON api_keys (role_id);
DROP INDEX api_keys_by_last_four;
DROP INDEX api_keys_by_expiration;
CREATE INDEX api_keys_by_expiration ON api_keys (workspace_id, expires_at, id);
DROP INDEX api_key_uses_by_time;
CREATE INDEX api_key_uses_by_time ON api_key_uses (last_used_at);
ALTER TABLE api_key_uses DROP COLUMN workspace_id;
DELETE FROM api_key_uses WHERE last_used_at = 0;
