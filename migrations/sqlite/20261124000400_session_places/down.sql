ALTER TABLE sessions DROP COLUMN last_seen_ip;
ALTER TABLE sessions DROP COLUMN began_ip;
ALTER TABLE sessions DROP COLUMN browser;
