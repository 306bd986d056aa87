//! Sets of permissions.

use std::collections::BTreeMap;

use crate::{Action, Permission, Scope, catalogue};

/// The most permissions that one role may list.
pub const MAX_PERMISSIONS: usize = 200;

/// What a principal holds: for each action the widest scope granted, and nothing that was not granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PermissionSet {
    /// Every action at `all`, also those that the program does not know.
    everything: bool,
    granted: BTreeMap<Action, Scope>,
}

impl PermissionSet {
    /// Nothing at all.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Every action at `all`, those of operators and embedders included.
    #[must_use]
    pub fn everything() -> Self {
        Self { everything: true, granted: BTreeMap::new() }
    }

    /// Whether it is [`PermissionSet::everything`].
    #[must_use]
    pub const fn is_everything(&self) -> bool {
        self.everything
    }

    /// How far the holder may go with `action`; `None` is not at all.
    #[must_use]
    pub fn scope_of(&self, action: &Action) -> Option<Scope> {
        if self.everything { Some(Scope::All) } else { self.granted.get(action).copied() }
    }

    /// Whether the holder may do what `permission` says, as far as it says.
    #[must_use]
    pub fn allows(&self, permission: &Permission) -> bool {
        self.scope_of(&permission.action()).is_some_and(|held| held >= permission.scope())
    }

    /// What of `wanted` is not held here, in order; empty exactly when all of it is.
    #[must_use]
    pub fn lacking(&self, wanted: &Self) -> Vec<Permission> {
        if self.everything {
            return Vec::new();
        }
        let mut lacking = wanted.to_permissions();
        lacking.retain(|permission| !self.allows(permission));
        // Whoever holds the whole catalogue still lacks what operators and embedders add to it.
        if wanted.everything && lacking.is_empty() {
            return wanted.to_permissions();
        }
        lacking
    }

    /// Whether all of `other` is held here.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        self.lacking(other).is_empty()
    }

    /// The permissions in order. For everything these are the server's own actions at `all`.
    #[must_use]
    pub fn to_permissions(&self) -> Vec<Permission> {
        if self.everything {
            return catalogue::ALL.iter().map(|action| action.at(Scope::All)).collect();
        }
        self.granted.iter().map(|(action, scope)| action.at(*scope)).collect()
    }
}

impl FromIterator<Permission> for PermissionSet {
    fn from_iter<I: IntoIterator<Item = Permission>>(permissions: I) -> Self {
        let mut set = Self::none();
        for permission in permissions {
            let scope = set.granted.entry(permission.action()).or_insert(permission.scope());
            *scope = permission.scope().max(*scope);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::BuiltInRole;

    fn permission() -> impl Strategy<Value = Permission> {
        (select(catalogue::ALL), select(&Scope::ALL[..])).prop_map(|(action, scope)| action.at(scope))
    }

    fn set() -> impl Strategy<Value = PermissionSet> {
        proptest::collection::vec(permission(), 0..8).prop_map(PermissionSet::from_iter)
    }

    #[test]
    fn only_everything_covers_everything() {
        let everything = PermissionSet::everything();
        let listed = PermissionSet::from_iter(everything.to_permissions());
        assert!(everything.covers(&listed));
        assert!(!listed.covers(&everything));
        assert!(everything.allows(&Permission::literal("invoices:read:all")));
        assert!(!listed.allows(&Permission::literal("invoices:read:own")));
    }

    #[test]
    fn the_built_in_roles_hold_what_is_documented() {
        let held = |role: BuiltInRole, text| role.permissions().allows(&Permission::parse(text).unwrap());
        assert!(held(BuiltInRole::Admin, "api-keys:delete:all"));
        assert!(held(BuiltInRole::TeamManager, "conversations:update:team"));
        assert!(!held(BuiltInRole::TeamManager, "conversations:delete:own"));
        assert!(!held(BuiltInRole::TeamManager, "conversations:read:all"));
        assert!(held(BuiltInRole::User, "conversations:delete:own"));
        assert!(!held(BuiltInRole::User, "conversations:read:team"));
        assert!(!held(BuiltInRole::User, "api-keys:read:own"));
    }

    proptest! {
        #[test]
        fn nothing_is_held_that_was_not_granted(granted in proptest::collection::vec(permission(), 0..8), asked in permission()) {
            let allowed = granted.iter().any(|one| one.action() == asked.action() && one.scope() >= asked.scope());
            prop_assert_eq!(PermissionSet::from_iter(granted).allows(&asked), allowed);
        }

        #[test]
        fn covering_is_a_partial_order(a in set(), b in set(), c in set()) {
            prop_assert!(a.covers(&a) && a.covers(&PermissionSet::none()) && PermissionSet::everything().covers(&a));
            prop_assert!(!(a.covers(&b) && b.covers(&c)) || a.covers(&c));
            prop_assert!(!(a.covers(&b) && b.covers(&a)) || a == b);
        }

        #[test]
        fn what_is_lacking_is_just_what_must_be_added(held in set(), wanted in set()) {
            let lacking = held.lacking(&wanted);
            prop_assert!(lacking.iter().all(|one| !held.allows(one) && wanted.allows(one)));
            let both = PermissionSet::from_iter(held.to_permissions().into_iter().chain(lacking));
            prop_assert!(both.covers(&wanted) && both.covers(&held));
        }
    }
}
