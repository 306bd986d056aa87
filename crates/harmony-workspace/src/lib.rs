//! The use cases: issue, list, rotate, delete a key; roles, users, teams, sessions, conversations, audit.
