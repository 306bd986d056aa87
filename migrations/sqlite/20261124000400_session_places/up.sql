-- What the person is shown of a session: what it was begun with, and from where. Empty where nobody noted it.
ALTER TABLE sessions ADD COLUMN browser TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN began_ip TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN last_seen_ip TEXT NOT NULL DEFAULT '';
