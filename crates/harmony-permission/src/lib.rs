//! The language resource:action:scope: the order of scopes, sets of permissions, the built-in roles.
