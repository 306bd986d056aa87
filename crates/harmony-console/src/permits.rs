//! What permissions permit, in the words of whoever hands them out.

use std::collections::BTreeMap;

use harmony_permission::{Permission, PermissionSet, Scope};

use crate::words::capitalised;

/// `Read conversations of their teams`.
pub(crate) fn permission(permission: &Permission) -> String {
    let action = permission.action();
    phrase(action.resource(), permission.scope(), &[action.action()])
}

/// What a set permits, in one line: what goes as far with the same thing is said at once.
pub(crate) fn permissions(set: &PermissionSet) -> String {
    if set.is_everything() {
        return "Everything".to_owned();
    }
    let all: Vec<_> = set.to_permissions().iter().map(|held| (held.action(), held.scope())).collect();
    let mut alike: BTreeMap<(&str, Scope), Vec<&str>> = BTreeMap::new();
    for (action, scope) in &all {
        alike.entry((action.resource(), *scope)).or_default().push(action.action());
    }
    let phrases: Vec<String> =
        alike.into_iter().map(|((resource, scope), verbs)| phrase(resource, scope, &verbs)).collect();
    if phrases.is_empty() { "Nothing".to_owned() } else { phrases.join("; ") }
}

/// `API keys`, of the resource `api-keys`.
pub(crate) fn resource(name: &str) -> String {
    capitalised(&thing(name))
}

fn thing(resource: &str) -> String {
    resource.replace('-', " ").replace("api keys", "API keys")
}

fn phrase(resource: &str, scope: Scope, verbs: &[&str]) -> String {
    let thing = thing(resource);
    let object = match (resource, scope) {
        ("workspace", _) => "the workspace’s settings".to_owned(),
        ("audit-log", Scope::All) => "the audit log".to_owned(),
        ("teams", Scope::Own | Scope::Team) => "their own teams".to_owned(),
        ("users", Scope::Own) => "their own account".to_owned(),
        // What is not there yet cannot be all of it.
        ("roles" | "teams" | "users", Scope::All) if *verbs == ["create"] => thing,
        (_, Scope::All) if *verbs == ["create"] => format!("{thing} for anybody"),
        (_, Scope::Own) => format!("their own {thing}"),
        (_, Scope::Team) => format!("{thing} of their teams"),
        (_, Scope::All) => format!("all {thing}"),
    };
    format!("{} {object}", capitalised(&listed(verbs)))
}

/// `create, read and delete`: what one knows first comes first.
fn listed(verbs: &[&str]) -> String {
    const USUAL: [&str; 4] = ["create", "read", "update", "delete"];
    let mut verbs = verbs.to_vec();
    verbs.sort_by_key(|verb| USUAL.iter().position(|usual| usual == verb).unwrap_or(USUAL.len()));
    match verbs.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(texts: &[&str]) -> PermissionSet {
        texts.iter().map(|text| Permission::parse(text).unwrap()).collect()
    }

    #[test]
    fn a_permission_is_said_as_people_say_it() {
        for (text, words) in [
            ("conversations:read:own", "Read their own conversations"),
            ("conversations:read:team", "Read conversations of their teams"),
            ("conversations:read:all", "Read all conversations"),
            ("conversations:create:all", "Create conversations for anybody"),
            ("api-keys:delete:all", "Delete all API keys"),
            ("roles:create:all", "Create roles"),
            ("teams:read:team", "Read their own teams"),
            ("users:read:own", "Read their own account"),
            ("audit-log:read:all", "Read the audit log"),
            ("workspace:update:all", "Update the workspace’s settings"),
            ("invoices:pay:team", "Pay invoices of their teams"),
        ] {
            assert_eq!(permission(&Permission::parse(text).unwrap()), words, "{text}");
        }
    }

    #[test]
    fn a_set_says_at_once_what_goes_as_far_with_the_same_thing() {
        let some = set(&[
            "conversations:create:own",
            "conversations:read:team",
            "conversations:delete:own",
            "conversations:update:own",
            "audit-log:read:all",
        ]);
        assert_eq!(
            permissions(&some),
            "Read the audit log; Create, update and delete their own conversations; \
             Read conversations of their teams"
        );
        assert_eq!(permissions(&PermissionSet::none()), "Nothing");
        assert_eq!(permissions(&PermissionSet::everything()), "Everything");
    }
}
