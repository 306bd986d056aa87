//! The actions of the server itself. Operators and embedders add resources of their own with [`Action::literal`].

use crate::Action;

macro_rules! actions {
    ($($name:ident = $text:literal;)*) => {
        $(
            #[doc = concat!("`", $text, "`")]
            pub const $name: Action = Action::literal($text);
        )*

        /// All of them, by resource.
        pub const ALL: &[Action] = &[$($name),*];
    };
}

actions! {
    API_KEYS_CREATE = "api-keys:create";
    API_KEYS_DELETE = "api-keys:delete";
    API_KEYS_READ = "api-keys:read";
    API_KEYS_UPDATE = "api-keys:update";
    API_KEYS_VERIFY = "api-keys:verify";
    AUDIT_LOG_READ = "audit-log:read";
    CONVERSATIONS_CREATE = "conversations:create";
    CONVERSATIONS_DELETE = "conversations:delete";
    CONVERSATIONS_READ = "conversations:read";
    CONVERSATIONS_UPDATE = "conversations:update";
    ROLES_CREATE = "roles:create";
    ROLES_DELETE = "roles:delete";
    ROLES_READ = "roles:read";
    ROLES_UPDATE = "roles:update";
    TEAMS_CREATE = "teams:create";
    TEAMS_DELETE = "teams:delete";
    TEAMS_READ = "teams:read";
    TEAMS_UPDATE = "teams:update";
    USERS_CREATE = "users:create";
    USERS_DELETE = "users:delete";
    USERS_READ = "users:read";
    USERS_UPDATE = "users:update";
    WORKSPACE_READ = "workspace:read";
    WORKSPACE_UPDATE = "workspace:update";
}
