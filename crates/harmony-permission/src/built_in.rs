use crate::{Permission, PermissionSet};

/// A role that every workspace has and nobody can edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BuiltInRole {
    /// Everything, everywhere in the workspace.
    Admin,
    /// The conversations of the teams, and who is in them.
    TeamManager,
    /// The user's own conversations.
    User,
}

const TEAM_MANAGER: [Permission; 5] = [
    Permission::literal("conversations:create:team"),
    Permission::literal("conversations:read:team"),
    Permission::literal("conversations:update:team"),
    Permission::literal("teams:read:team"),
    Permission::literal("users:read:team"),
];

const USER: [Permission; 5] = [
    Permission::literal("conversations:create:own"),
    Permission::literal("conversations:delete:own"),
    Permission::literal("conversations:read:own"),
    Permission::literal("conversations:update:own"),
    Permission::literal("users:read:own"),
];

impl BuiltInRole {
    /// Every built-in role, the most powerful first.
    pub const ALL: [Self; 3] = [Self::Admin, Self::TeamManager, Self::User];

    /// The name by which people know it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::TeamManager => "Team Manager",
            Self::User => "User",
        }
    }

    /// One sentence on what it is for.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Admin => "May do everything in the workspace.",
            Self::TeamManager => {
                "Reads, creates and changes the conversations of their teams, and sees the teams and their members."
            }
            Self::User => "Reads, creates, changes and deletes their own conversations.",
        }
    }

    /// What it grants.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        match self {
            Self::Admin => PermissionSet::everything(),
            Self::TeamManager => PermissionSet::from_iter(TEAM_MANAGER),
            Self::User => PermissionSet::from_iter(USER),
        }
    }
}
