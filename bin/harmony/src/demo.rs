//! `serve --demo`: a workspace to try things in, gone when the server ends.

use std::{
    fs::DirBuilder,
    net::SocketAddr,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use harmony_access::{Principal, RoleId, Timestamp, UserId};
use harmony_key::SecretToken;
use harmony_permission::{BuiltInRole, Permission, PermissionSet};
use harmony_store::{DatabaseUrl, conversations::Segment, roles};
use harmony_workspace::{
    Error, Occasion, Once, Workspace,
    api_keys::{self, IssuedApiKey, NewApiKey},
    conversations::{self, NewConversation},
    roles::NewRole,
    setup, teams,
    users::{self, NewUser},
};

use crate::{failure::Failure, output, serve::read_clock, settings::Settings};

const ADMIN_EMAIL: &str = "ann@acme.example";
const READS_ALL: Permission = Permission::literal("conversations:read:all");
/// The hexadecimal digits of a drawn password: 80 bits.
const PASSWORD_DIGITS: usize = 20;

const TITLES: [&str; 12] = [
    "Kick-off with Northwind",
    "Weekly product review",
    "Interview: support lead",
    "Renewal call with Contoso",
    "Incident review of 3 May",
    "Roadmap for the autumn",
    "Onboarding of the new office",
    "Pricing workshop",
    "Feedback from the pilot",
    "Security questions from Fabrikam",
    "Retrospective",
    "Plans for the offsite",
];

/// The throw-away folder.
pub struct Demo {
    folder: PathBuf,
}

impl Demo {
    /// Makes the folder, and lets the settings point at it.
    pub fn prepare(settings: &mut Settings) -> Result<Self, Failure> {
        let name: String = SecretToken::draw()?.reveal().chars().take(16).collect();
        let folder = std::env::temp_dir().join(format!("harmony-demo-{name}"));
        DirBuilder::new().mode(0o700).create(&folder)?;
        settings.database_url = DatabaseUrl::sqlite(folder.join("harmony.sqlite"));
        settings.data_dir.clone_from(&folder);
        Ok(Self { folder })
    }

    /// People, a team, conversations and a key.
    pub fn fill(workspace: &Workspace) -> Result<Filled, Failure> {
        // Lists are ordered by when things were made: the administrator first.
        let (now, before) = (read_clock().wall, Duration::from_millis(1));
        let occasion = Occasion { now: now.minus(before), client: None, request_id: None };
        let password: String = SecretToken::draw()?.reveal().chars().take(PASSWORD_DIGITS).collect();
        let new = setup::NewWorkspace {
            name: "Acme",
            user_name: "Ann Admin",
            email: ADMIN_EMAIL,
            password: Some(&password),
        };
        let (id, ann) = setup::create(workspace, &occasion, &new)?;
        let actor = setup::operator(id, ann);
        let occasion = Occasion { now, ..occasion };
        let owners = people(workspace, &actor, &occasion)?;
        talk(workspace, &actor, &occasion, &owners)?;
        Ok(Filled { password, key: key(workspace, &actor, &occasion)? })
    }
}

/// As a shell takes it for one word.
fn shell_quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |one: char| one.is_ascii_alphanumeric() || "/._-".contains(one);
    if text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', "'\\''")) }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What is shown of the demo, once.
pub struct Filled {
    password: String,
    key: IssuedApiKey,
}

impl Filled {
    pub fn print(&self, address: SocketAddr, folder: &Path) -> Result<(), Failure> {
        output::line(&format!(
            "demo workspace Acme at http://{address} (gone when this ends); the API: http://{address}/docs"
        ))?;
        output::line(&format!("sign-in: {ADMIN_EMAIL} password: {}", self.password))?;
        output::line("try it:")?;
        output::line(&format!(
            "  curl -H 'X-API-Key: {}' http://{address}/v1/conversations",
            self.key.text.reveal()
        ))?;
        output::line(&format!("  harmony key list --data-dir {}", shell_quoted(folder)))
    }
}

/// A team manager and a user, in one team; with the administrator, the three whom conversations belong to.
fn people(workspace: &Workspace, actor: &Principal, occasion: &Occasion) -> Result<Vec<UserId>, Error> {
    let add = |email, name, role| -> Result<UserId, Error> {
        let role = built_in(workspace, actor, role)?;
        let new = NewUser { email, name, role, password: None };
        Ok(made(users::create(workspace, actor, occasion, &new, None)?)?.id)
    };
    let tom = add("tom@acme.example", "Tom Manager", BuiltInRole::TeamManager)?;
    let uma = add("uma@acme.example", "Uma User", BuiltInRole::User)?;
    let team = made(teams::create(workspace, actor, occasion, "Sales", None)?)?;
    teams::add_user(workspace, actor, occasion, team.id, tom)?;
    teams::add_user(workspace, actor, occasion, team.id, uma)?;
    Ok(vec![actor.user(), tom, uma])
}

fn built_in(workspace: &Workspace, actor: &Principal, role: BuiltInRole) -> Result<RoleId, Error> {
    let found = workspace.store().read(|tx| roles::named(tx, actor.workspace(), role.name()))?;
    Ok(found.ok_or(Error::NotFound)?.id)
}

fn talk(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    owners: &[UserId],
) -> Result<(), Error> {
    for ((title, owner), days) in TITLES.iter().zip(owners.iter().cycle()).zip(1_u64..) {
        let start = occasion.now.minus(Duration::from_secs(days * 86_400));
        let new = conversation(title, *owner, start);
        made(conversations::create(workspace, actor, occasion, &new, None)?)?;
    }
    Ok(())
}

fn conversation(title: &str, owner: UserId, started_at: Timestamp) -> NewConversation {
    let says =
        |speaker: &str, start_secs, content: String| Segment { speaker: speaker.into(), start_secs, content };
    NewConversation {
        owner: Some(owner),
        title: title.to_owned(),
        started_at,
        duration_secs: 1_800,
        participants: vec!["Ann Admin".into(), "Tom Manager".into(), "Uma User".into()],
        summary: format!("{title}: where we stand, and what comes next."),
        action_items: vec!["Tom sends the notes.".into()],
        segments: vec![
            says("Ann Admin", 0.0, format!("Welcome. Today: {title}.")),
            says("Tom Manager", 6.5, "I have the numbers ready.".into()),
            says("Uma User", 14.0, "And I have two questions.".into()),
        ],
    }
}

fn key(workspace: &Workspace, actor: &Principal, occasion: &Occasion) -> Result<IssuedApiKey, Error> {
    let reader = NewRole {
        name: "Reader".into(),
        description: "Reads every conversation.".into(),
        permissions: PermissionSet::from_iter([READS_ALL]),
    };
    let role = made(harmony_workspace::roles::create(workspace, actor, occasion, &reader, None)?)?;
    let new = NewApiKey {
        name: "Demo".into(),
        owner: None,
        role: Some(role.id),
        expires_at: None,
        display_rate_limit: None,
    };
    made(api_keys::create(workspace, actor, occasion, &new, None)?)
}

/// Without an idempotency key everything is made now.
pub fn made<T>(once: Once<T>) -> Result<T, Error> {
    match once {
        Once::Made(value) => Ok(value),
        Once::Repeated(_) => Err(Error::NotFound),
    }
}
