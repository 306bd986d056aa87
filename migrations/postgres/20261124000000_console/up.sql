-- The orders and filters of the table of keys, so that a page of it walks past none of the other keys.
CREATE INDEX api_keys_by_name ON api_keys (workspace_id, lower(name), id);
CREATE INDEX api_keys_by_expiration ON api_keys (workspace_id, expires_at, id);
CREATE INDEX api_key_uses_by_time ON api_key_uses (last_used_at);

-- The role and its version when the session's token was drawn: another one has another token.
ALTER TABLE sessions ADD COLUMN rights TEXT NOT NULL DEFAULT '';
