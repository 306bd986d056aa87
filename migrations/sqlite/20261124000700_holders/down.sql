DROP INDEX users_by_role_in_order;
