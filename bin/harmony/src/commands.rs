//! The commands that work on the store, also beside a running server.

pub mod copy;
pub mod doctor;
pub mod init;
pub mod key;
pub mod role;
pub mod user;

use std::{io::Read, sync::Arc, time::Duration};

use harmony_access::{Principal, Timestamp, UserId, WorkspaceId};
use harmony_store::{
    DatabaseUrl, Page, Transport, roles,
    users::{self, User},
    workspaces,
};
use harmony_workspace::{Answered, Error, Occasion, Workspace, barrier::Process, setup};

use crate::{failure::Failure, folder, output, serve, settings::Settings};

/// The most rows of one list; the rest is paged through.
const PAGE: u32 = 200;
/// The longest secret that is read from standard input, in bytes.
const MAX_SECRET_BYTES: u64 = 4_096;

#[derive(clap::Args, Clone, Copy)]
pub struct JsonArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(clap::Args)]
pub struct WhereArgs {
    /// The workspace, by id or name, when there are several
    #[arg(long, value_name = "ID|NAME")]
    pub workspace: Option<String>,
}

/// The use cases, the workspace and who acts in it.
pub struct Desk {
    pub workspace: Workspace,
    pub id: WorkspaceId,
    pub occasion: Occasion,
    operator: Principal,
}

impl Desk {
    /// Opens the store and finds the workspace; the operator acts for its first user until a command names another.
    pub fn open(settings: &Settings, place: &WhereArgs) -> Result<Self, Failure> {
        folder::refuse_absent(settings)?;
        let workspace = open(settings)?;
        let id = choose(&workspace, place)?;
        let nobody = UserId::new(Timestamp::from_millis(0), [0; 10]);
        let first = harmony_workspace::users::list(
            &workspace,
            &setup::operator(id, nobody),
            &Page { after: None, limit: 1 },
        )?;
        let first = first.first().ok_or_else(|| Failure::refused("the workspace has no users"))?.id;
        Ok(Self { workspace, id, occasion: occasion(), operator: setup::operator(id, first) })
    }

    pub const fn operator(&self) -> &Principal {
        &self.operator
    }

    /// The operator, acting for this user.
    pub fn acting_for(&self, user: UserId) -> Principal {
        setup::operator(self.id, user)
    }

    /// A user by address or id.
    pub fn user(&self, named: &str) -> Result<User, Failure> {
        let found = self.workspace.store().read(|tx| match UserId::parse(named) {
            Ok(id) => users::of_workspace(tx, self.id, id),
            Err(_) => users::with_email(tx, self.id, &named.trim().to_lowercase()),
        })?;
        found.ok_or_else(|| Failure::refused(format!("the workspace has no user `{named}`")))
    }

    /// A role by name or id.
    pub fn role(&self, named: &str) -> Result<roles::Role, Failure> {
        let found = self.workspace.store().read(|tx| match harmony_access::RoleId::parse(named) {
            Ok(id) => roles::find(tx, self.id, id),
            Err(_) => roles::named(tx, self.id, named.trim()),
        })?;
        found.ok_or_else(|| Failure::refused(format!("the workspace has no role `{named}`")))
    }

    /// What was taken away is answered when no server accepts it any more.
    pub fn settled<T>(&self, outcome: Result<Answered<T>, Error>) -> Result<T, Error> {
        Ok(self.workspace.settle(outcome)?.0)
    }
}

/// Opens the use cases over the store that the settings name.
pub fn open(settings: &Settings) -> Result<Workspace, Failure> {
    folder::prepare(settings)?;
    Ok(Workspace::new(serve::open_store(settings)?).in_process(Arc::new(AtTheDesk)))
}

/// A command answers no requests: nothing of it has to be woken, and it waits by the machine's clock.
struct AtTheDesk;

impl Process for AtTheDesk {
    fn wake(&self) {}

    fn boot(&self) -> Duration {
        serve::read_clock().boot
    }

    fn waited(&self, _: Duration) {}
}

/// Now, at the command line.
pub fn occasion() -> Occasion {
    Occasion { now: serve::read_clock().wall, client: None, request_id: None }
}

fn choose(workspace: &Workspace, place: &WhereArgs) -> Result<WorkspaceId, Failure> {
    let all = workspace.store().read(workspaces::list)?;
    let named = |one: &&workspaces::Workspace| {
        place.workspace.as_ref().is_none_or(|wanted| one.name == *wanted || one.id.to_string() == *wanted)
    };
    let found: Vec<_> = all.iter().filter(named).collect();
    match (found.as_slice(), &place.workspace) {
        ([only], _) => Ok(only.id),
        ([], _) if all.is_empty() => {
            Err(Failure::refused("nothing is set up yet; see `harmony init --help`"))
        }
        ([], Some(wanted)) => Err(Failure::usage(format!("--workspace: there is none called `{wanted}`"))),
        ([] | [..], _) => {
            let names: Vec<_> = all.iter().map(|one| format!("{} ({})", one.id, one.name)).collect();
            Err(Failure::usage(format!("--workspace: there are several; say which: {}", names.join(", "))))
        }
    }
}

/// Everything of a list, page by page.
pub fn all_pages<T, C>(
    mut page: impl FnMut(&Page<C>) -> Result<Vec<T>, Error>,
    cursor: impl Fn(&T) -> C,
) -> Result<Vec<T>, Failure> {
    let mut rows = Vec::new();
    loop {
        let next = page(&Page { after: rows.last().map(&cursor), limit: PAGE })?;
        let ends = next.len() < PAGE as usize;
        rows.extend(next);
        if ends {
            return Ok(rows);
        }
    }
}

/// A secret from standard input, without the line's end.
pub fn secret_from_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    std::io::stdin().take(MAX_SECRET_BYTES).read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

/// As opening the database would.
fn refuse_plain(settings: &Settings) -> Result<(), Failure> {
    match &settings.database_url {
        DatabaseUrl::Postgres(url)
            if url.transport() == Transport::Plain && !settings.database_allow_plaintext =>
        {
            Err(Failure::usage(format!(
                "database_url: {} is on another machine; say sslmode=verify-full in it, or set \
                 database_allow_plaintext to accept plain text on a private network",
                settings.database_url
            )))
        }
        DatabaseUrl::Postgres(_) | DatabaseUrl::Sqlite(_) => Ok(()),
    }
}

/// `harmony config`
pub fn config(settings: &Settings, args: JsonArgs) -> Result<(), Failure> {
    serve::check(settings)?;
    refuse_plain(settings)?;
    if args.json {
        return output::json(&serde_json::to_value(settings)?);
    }
    let text =
        toml::to_string(settings).map_err(|error| Failure::of("the settings cannot be shown", &error))?;
    output::line(text.trim_end())
}
