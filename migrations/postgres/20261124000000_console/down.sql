ALTER TABLE sessions DROP COLUMN rights;
DROP INDEX api_key_uses_by_time;
DROP INDEX api_keys_by_expiration;
DROP INDEX api_keys_by_name;
