-- Ids are prefixed text that sorts by time, instants are Unix milliseconds, digests are the 32 bytes of a SHA-256.

CREATE TABLE workspaces (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    default_permissions TEXT NOT NULL,
    longest_key_lifetime_secs BIGINT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);

-- The permissions of a built-in role are the program's; the column is empty for them.
CREATE TABLE roles (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    description TEXT NOT NULL,
    built_in TEXT,
    permissions TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (workspace_id, name)
);

CREATE TABLE users (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    role_id TEXT NOT NULL REFERENCES roles (id),
    email TEXT NOT NULL,
    name TEXT NOT NULL,
    password_hash TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (workspace_id, email)
);
CREATE INDEX users_by_role ON users (role_id);

CREATE TABLE teams (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    name TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (workspace_id, name)
);

CREATE TABLE team_users (
    team_id TEXT NOT NULL REFERENCES teams (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    PRIMARY KEY (team_id, user_id)
);
CREATE INDEX team_users_by_user ON team_users (user_id);

-- The digest of a key's text, and never the text. `foreign_text`: issued elsewhere, and so without check digits.
CREATE TABLE api_keys (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    owner_id TEXT NOT NULL REFERENCES users (id),
    role_id TEXT REFERENCES roles (id),
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    last_four TEXT NOT NULL,
    foreign_text BOOLEAN NOT NULL,
    display_rate_limit TEXT,
    expires_at BIGINT,
    rotated_to TEXT,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX api_keys_by_workspace ON api_keys (workspace_id, id);
CREATE INDEX api_keys_by_owner ON api_keys (owner_id, id);
CREATE INDEX api_keys_by_role ON api_keys (role_id);
CREATE INDEX api_keys_foreign ON api_keys (foreign_text) WHERE foreign_text;

-- Beside the key, so that a use changes nothing of the key itself.
CREATE TABLE api_key_uses (
    key_id TEXT NOT NULL PRIMARY KEY REFERENCES api_keys (id) ON DELETE CASCADE,
    last_used_at BIGINT NOT NULL,
    last_used_ip TEXT NOT NULL
);

CREATE TABLE conversations (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL REFERENCES workspaces (id),
    owner_id TEXT NOT NULL REFERENCES users (id),
    title TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    duration_secs BIGINT NOT NULL,
    participants TEXT NOT NULL,
    summary TEXT NOT NULL,
    action_items TEXT NOT NULL,
    version BIGINT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX conversations_by_workspace ON conversations (workspace_id, started_at, id);
CREATE INDEX conversations_by_owner ON conversations (owner_id, started_at, id);

CREATE TABLE transcript_segments (
    conversation_id TEXT NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    position BIGINT NOT NULL,
    speaker TEXT NOT NULL,
    start_secs DOUBLE PRECISION NOT NULL,
    content TEXT NOT NULL,
    PRIMARY KEY (conversation_id, position)
);

CREATE TABLE sessions (
    id TEXT NOT NULL PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest BLOB NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);

CREATE TABLE setup_links (
    digest BLOB NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

-- No foreign keys: an event outlives what it tells of.
CREATE TABLE audit_events (
    id TEXT NOT NULL PRIMARY KEY,
    workspace_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    actor_user_id TEXT,
    actor_key_id TEXT,
    action TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    detail TEXT NOT NULL,
    client_ip TEXT,
    request_id TEXT
);
CREATE INDEX audit_events_by_workspace ON audit_events (workspace_id, id);
CREATE INDEX audit_events_by_subject ON audit_events (workspace_id, subject_id, id);

-- What a POST under this key made: never the answer, which may hold a key's text.
CREATE TABLE idempotency_keys (
    principal_id TEXT NOT NULL,
    idempotency_key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    resource_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (principal_id, idempotency_key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- One row: the lock that puts revocations in the order of their commits, without gaps.
CREATE TABLE revocation_head (
    id BIGINT NOT NULL PRIMARY KEY,
    revision BIGINT NOT NULL
);
INSERT INTO revocation_head (id, revision) VALUES (1, 0);

CREATE TABLE revocations (
    revision BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL
);

CREATE TABLE nodes (
    id TEXT NOT NULL PRIMARY KEY,
    lease_until BIGINT NOT NULL,
    seen_revision BIGINT NOT NULL,
    started_at BIGINT NOT NULL
);
