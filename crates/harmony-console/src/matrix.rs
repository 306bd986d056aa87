//! A set of permissions as a matrix of choices: resource × action, each with nothing, own, team or all.

use std::collections::BTreeMap;

use harmony_permission::{Action, Permission, PermissionSet, Scope, catalogue};

use crate::{form::Form, permits};

/// How far something is permitted.
const SCOPES: [&str; 4] = ["", Scope::Own.as_str(), Scope::Team.as_str(), Scope::All.as_str()];

pub(crate) struct Resource {
    name: String,
    /// Its name in words.
    pub said: String,
    pub cells: Vec<Cell>,
}

pub(crate) struct Cell {
    /// The name of its field: `resource:action`.
    pub field: String,
    pub action: String,
    /// The scope that is granted, or nothing.
    granted: &'static str,
}

impl Cell {
    /// The values of its choices, what they say, and whether each is the one that is granted.
    pub(crate) fn choices(&self) -> [(&'static str, &'static str, bool); 4] {
        SCOPES.map(|scope| (scope, if scope.is_empty() { "none" } else { scope }, scope == self.granted))
    }
}

/// The server's own actions, and whatever else the set grants: resources of operators and embedders.
pub(crate) fn resources(set: &PermissionSet) -> Vec<Resource> {
    let mut actions: BTreeMap<Action, Option<Scope>> =
        catalogue::ALL.iter().map(|action| (*action, set.scope_of(action))).collect();
    let granted = set.to_permissions();
    actions.extend(granted.iter().map(|permission| (permission.action(), Some(permission.scope()))));
    let mut resources: Vec<Resource> = Vec::new();
    for (action, scope) in actions {
        let cell = Cell {
            field: action.to_string(),
            action: action.action().to_owned(),
            granted: scope.map_or("", Scope::as_str),
        };
        match resources.last_mut().filter(|last| last.name == action.resource()) {
            Some(last) => last.cells.push(cell),
            None => resources.push(Resource {
                name: action.resource().to_owned(),
                said: permits::resource(action.resource()),
                cells: vec![cell],
            }),
        }
    }
    resources
}

/// What a form has chosen. Fields that are no permission grant nothing.
pub(crate) fn chosen(form: &Form) -> PermissionSet {
    form.fields()
        .filter(|(name, scope)| name.contains(':') && !scope.is_empty())
        .filter_map(|(name, scope)| Permission::parse(&format!("{name}:{scope}")).ok())
        .collect()
}

/// What `before` grants and `after` does not, or not as far.
pub(crate) fn lost(before: &PermissionSet, after: &PermissionSet) -> Vec<Permission> {
    after.lacking(before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> PermissionSet {
        texts.iter().map(|text| Permission::parse(text).unwrap()).collect()
    }

    #[test]
    fn the_matrix_has_every_action_of_the_server_and_those_of_others() {
        let resources = resources(&set(&["conversations:read:team", "invoices:pay:own"]));
        let names: Vec<_> = resources.iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(
            names,
            ["api-keys", "audit-log", "conversations", "invoices", "roles", "teams", "users", "workspace"]
        );
        let granted: Vec<_> = resources
            .iter()
            .flat_map(|resource| &resource.cells)
            .filter(|cell| !cell.granted.is_empty())
            .map(|cell| (cell.field.as_str(), cell.granted))
            .collect();
        assert_eq!(granted, [("conversations:read", "team"), ("invoices:pay", "own")]);
        let cells: usize = resources.iter().map(|resource| resource.cells.len()).sum();
        assert_eq!(cells, catalogue::ALL.len() + 1);
    }

    #[test]
    fn what_a_change_takes_is_what_was_granted_further_before() {
        let before = set(&["conversations:read:all", "users:read:own"]);
        let after = set(&["conversations:read:team", "users:read:all"]);
        assert_eq!(lost(&before, &after), set(&["conversations:read:all"]).to_permissions());
        assert_eq!(lost(&after, &before), set(&["users:read:all"]).to_permissions());
        assert!(lost(&before, &before).is_empty());
    }
}
