-- From which networks a user has signed in lately: strangers who try their password do not slow them down there.
CREATE TABLE known_networks (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT NOT NULL,
    signed_in_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, network)
);
