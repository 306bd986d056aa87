//! What surrounds every page: its title, who is signed in, and the side bar of what they may see.

use harmony_permission::{Scope, catalogue};

use crate::{
    assets::{self, SCRIPT, STYLE},
    session::SignedIn,
};

/// The surroundings of one page.
pub(crate) struct Shell {
    pub(crate) title: String,
    pub(crate) person: Option<Person>,
    pub(crate) groups: Vec<Group>,
    pub(crate) form_token: String,
}

/// Who is signed in.
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
}

/// Sections under one heading.
pub(crate) struct Group {
    pub(crate) heading: &'static str,
    pub(crate) links: Vec<Link>,
}

/// A section.
pub(crate) struct Link {
    pub(crate) path: &'static str,
    pub(crate) label: &'static str,
    pub(crate) current: bool,
}

impl Shell {
    /// For pages without a person.
    pub(crate) fn plain(title: &str) -> Self {
        Self { title: title.to_owned(), person: None, groups: Vec::new(), form_token: String::new() }
    }

    pub(crate) fn style(&self) -> &'static str {
        STYLE.path()
    }

    pub(crate) fn script(&self) -> &'static str {
        SCRIPT.path()
    }

    pub(crate) fn icon(&self) -> &'static str {
        assets::icon_path()
    }
}

impl SignedIn {
    /// The surroundings of a page in the section at `current`.
    pub(crate) fn shell(&self, title: impl Into<String>, current: &str) -> Shell {
        let link = |path, label| Link { path, label, current: path == current };
        Shell {
            title: title.into(),
            person: Some(Person { name: self.who.user.name.clone(), email: self.who.user.email.clone() }),
            groups: sections(self)
                .into_iter()
                .map(|(heading, links)| Group {
                    heading,
                    links: links.into_iter().map(|(path, label)| link(path, label)).collect(),
                })
                .collect(),
            form_token: self.form_token.clone(),
        }
    }

    /// The first section that the person may see; their account, when there is none.
    pub(crate) fn first_section(&self) -> &'static str {
        let sections = sections(self);
        let keys = sections.iter().flat_map(|(_, links)| links).find(|(path, _)| *path == API_KEYS);
        let first = sections.iter().find_map(|(_, links)| links.first());
        keys.or(first).map_or("/account", |(path, _)| path)
    }
}

pub(crate) const GENERAL: &str = "/settings/general";
pub(crate) const USERS: &str = "/settings/users";
pub(crate) const TEAMS: &str = "/settings/teams";
pub(crate) const ROLES: &str = "/settings/roles";
pub(crate) const API_KEYS: &str = "/settings/api-keys";
pub(crate) const AUDIT_LOG: &str = "/settings/audit-log";

/// In which section an address lies; nothing, if in none.
pub(crate) fn section_of(path: &str) -> &'static str {
    let all = [GENERAL, USERS, TEAMS, ROLES, API_KEYS, AUDIT_LOG];
    all.into_iter().find(|section| path.starts_with(section)).unwrap_or_default()
}

type Sections = Vec<(&'static str, Vec<(&'static str, &'static str)>)>;

/// What the person may see, in the order of the side bar.
fn sections(person: &SignedIn) -> Sections {
    let all: [(&'static str, &[(&'static str, &'static str, _, _)]); 2] = [
        (
            "Workspace",
            &[
                (GENERAL, "General", catalogue::WORKSPACE_READ, Scope::Own),
                (USERS, "Users", catalogue::USERS_READ, Scope::Own),
                (TEAMS, "Teams", catalogue::TEAMS_READ, Scope::Team),
                (ROLES, "Roles", catalogue::ROLES_READ, Scope::All),
            ],
        ),
        (
            "Security & Trust",
            &[
                (API_KEYS, "API", catalogue::API_KEYS_READ, Scope::Team),
                (AUDIT_LOG, "Audit log", catalogue::AUDIT_LOG_READ, Scope::All),
            ],
        ),
    ];
    let seen = all.into_iter().map(|(heading, links)| {
        let links = links.iter().filter(|(_, _, action, scope)| person.may(*action, *scope));
        (heading, links.map(|(path, label, _, _)| (*path, *label)).collect::<Vec<_>>())
    });
    seen.filter(|(_, links)| !links.is_empty()).collect()
}
