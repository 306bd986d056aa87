//! The roles that every workspace has from the start, and nobody can edit.

use crate::{Permission, PermissionSet};

/// A role that is the same in each workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuiltInRole {
    /// Everything, in the whole workspace.
    Admin,
    /// The conversations of their teams.
    TeamManager,
    /// Their own conversations.
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
    /// All of them, from the most to the least powerful.
    pub const ALL: [Self; 3] = [Self::Admin, Self::TeamManager, Self::User];

    /// Its name in a workspace.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "Admin",
            Self::TeamManager => "Team Manager",
            Self::User => "User",
        }
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::Admin => "Manages the workspace, its people, roles and API keys.",
            Self::TeamManager => "Reads, records and corrects the conversations of their teams.",
            Self::User => "Works with their own conversations.",
        }
    }

    /// What it permits.
    #[must_use]
    pub fn permissions(self) -> PermissionSet {
        match self {
            Self::Admin => PermissionSet::everything(),
            Self::TeamManager => PermissionSet::from_iter(TEAM_MANAGER),
            Self::User => PermissionSet::from_iter(USER),
        }
    }

    /// The role with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}
