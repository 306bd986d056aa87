-- Requests of a key by hour (`grain_secs` 3600) and by day (86400) and by how they were answered.
CREATE TABLE api_key_usage (
    key_id TEXT NOT NULL REFERENCES api_keys (id) ON DELETE CASCADE,
    grain_secs BIGINT NOT NULL,
    starts_at BIGINT NOT NULL,
    outcome TEXT NOT NULL,
    requests BIGINT NOT NULL,
    PRIMARY KEY (key_id, grain_secs, starts_at, outcome)
);
CREATE INDEX api_key_usage_by_age ON api_key_usage (grain_secs, starts_at);
