-- Who made the key: a user's id, or nobody for the operator's command line and for keys from before. No reference: the user
-- may be removed later, and then the id still says that it was them and nobody else.
ALTER TABLE api_keys ADD COLUMN created_by TEXT;
