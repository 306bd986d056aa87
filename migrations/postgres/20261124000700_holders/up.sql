-- The first users of a role, in their order, without a look at all who have it. `users_by_role` stays: what is taken away, the
-- last release would miss.
CREATE INDEX users_by_role_in_order ON users (role_id, workspace_id, id);
