//! The table of keys; all of its state is in the address.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::{RoleId, UserId};
use harmony_permission::{Scope, catalogue};
use harmony_store::{
    Page,
    key_table::{Cursor, KeyQuery, KeyRole, KeyState, SortBy, Total},
};
use harmony_workspace::{key_table, roles, users};

use super::row::{Creator, Row};
use crate::{
    Console,
    form::Form,
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{API_KEYS, Shell},
    words,
};

/// The most roles and owners to choose from.
const CHOICES: u32 = 200;

/// The state of the table, as the address says it.
#[derive(Clone, Default)]
struct View {
    q: String,
    state: String,
    role: String,
    owner: String,
    sort: String,
    dir: String,
    /// Where the page lies, as the table says it.
    at: String,
}

#[derive(Template)]
#[template(path = "api_keys/list.html")]
struct ListPage {
    shell: Shell,
    may_create: bool,
    may_delete: bool,
    may_rotate: bool,
    sees_all: bool,
    done: Option<String>,
    limit: String,
    view: View,
    states: [(&'static str, &'static str); 6],
    roles: Vec<Choice>,
    owners: Vec<Choice>,
    columns: Vec<Column>,
    rows: Vec<Row>,
    total: String,
    before: Option<String>,
    after: Option<String>,
}

struct Choice {
    id: String,
    name: String,
}

struct Column {
    label: &'static str,
    path: Option<String>,
    /// `ascending`, `descending`, or nothing.
    order: &'static str,
}

/// Of the roles to choose from, none: the value of no role's id.
const NO_ROLE: &str = "default";

const STATES: [(&str, &str); 6] = [
    ("", "Any state"),
    ("active", "Active"),
    ("expiring", "Expires within 7 days"),
    ("expired", "Expired"),
    ("unused", "Never used"),
    ("idle", "Not used for 90 days"),
];

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::API_KEYS_READ, Scope::Team)?;
    let form = Form::of_query(&request);
    let view = View::of(&form);
    let query = view.query();
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let choosing =
        (person.may(catalogue::ROLES_READ, Scope::All), person.may(catalogue::USERS_READ, Scope::Team));
    let (found, roles, owners) = console
        .run(move |workspace| {
            let found = key_table::page(workspace, &principal, &occasion, &query)?;
            let (some_roles, some_users) =
                (Page { after: None, limit: CHOICES }, Page { after: None, limit: CHOICES });
            let roles =
                if choosing.0 { roles::list(workspace, &principal, &some_roles)? } else { Vec::new() };
            let owners =
                if choosing.1 { users::list(workspace, &principal, &some_users)? } else { Vec::new() };
            Ok((found, roles, owners))
        })
        .await?;
    let rate = console.limit;
    let may_create = person.may(catalogue::API_KEYS_CREATE, Scope::All);
    let may_delete = person.may(catalogue::API_KEYS_DELETE, Scope::All);
    let page = ListPage {
        may_create,
        may_delete,
        may_rotate: may_create && may_delete,
        sees_all: person.may(catalogue::API_KEYS_READ, Scope::All),
        done: form.filled("deleted").and_then(|count| count.parse().ok()).map(deleted),
        limit: format!(
            "{} requests per {}",
            words::thousands(rate.requests.into()),
            words::secs(rate.window_secs)
        ),
        states: STATES,
        roles: roles.into_iter().map(|role| Choice { id: role.id.to_string(), name: role.name }).collect(),
        owners: owners.into_iter().map(|user| Choice { id: user.id.to_string(), name: user.name }).collect(),
        columns: view.columns(),
        rows: found.rows.iter().map(|row| Row::new(row, person.occasion.now)).collect(),
        total: total(found.total),
        before: found.before.map(|cursor| view.path(&cursor.to_string())),
        after: found.after.map(|cursor| view.path(&cursor.to_string())),
        shell: person.shell("API keys", API_KEYS),
        view,
    };
    page::html(StatusCode::OK, &page)
}

fn deleted(count: i64) -> String {
    format!(
        "{} deleted. Requests with {} are refused from now on.",
        words::counted(count, "key"),
        if count == 1 { "it" } else { "them" }
    )
}

fn total(total: Total) -> String {
    let keys = |count| words::counted(i64::try_from(count).unwrap_or(i64::MAX), "key");
    match total {
        Total::Exactly(count) => keys(count),
        Total::MoreThan(count) => format!("More than {}", keys(count)),
    }
}

impl View {
    fn of(form: &Form) -> Self {
        let text = |name| form.filled(name).unwrap_or_default().to_owned();
        Self {
            q: text("q"),
            state: text("state"),
            role: text("role"),
            owner: text("owner"),
            sort: text("sort"),
            dir: text("dir"),
            at: text("at"),
        }
    }

    fn is_narrowed(&self) -> bool {
        [&self.q, &self.state, &self.role, &self.owner].iter().any(|text| !text.is_empty())
    }

    fn query(&self) -> KeyQuery {
        let state = match self.state.as_str() {
            "active" => Some(KeyState::Active),
            "expiring" => Some(KeyState::Expiring),
            "expired" => Some(KeyState::Expired),
            "unused" => Some(KeyState::Unused),
            "idle" => Some(KeyState::Idle),
            _ => None,
        };
        let sort = match self.sort.as_str() {
            "name" => SortBy::Name,
            "used" => SortBy::LastUsed,
            "expires" => SortBy::Expiration,
            _ => SortBy::Created,
        };
        KeyQuery {
            text: Some(self.q.clone()).filter(|text| !text.is_empty()),
            owner: UserId::parse(&self.owner).ok(),
            role: match self.role.as_str() {
                NO_ROLE => Some(KeyRole::Default),
                id => RoleId::parse(id).ok().map(KeyRole::Is),
            },
            state,
            sort,
            ascending: self.dir == "asc",
            // What is no cursor of this order, because somebody wrote the address, is the first page.
            cursor: Cursor::parse(&self.at, sort),
            limit: page::ROWS,
        }
    }

    fn path(&self, at: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        let texts = [
            ("q", &self.q),
            ("state", &self.state),
            ("role", &self.role),
            ("owner", &self.owner),
            ("sort", &self.sort),
            ("dir", &self.dir),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            query.append_pair(name, text);
        }
        if !at.is_empty() {
            query.append_pair("at", at);
        }
        format!("{API_KEYS}?{}", query.finish())
    }

    fn columns(&self) -> Vec<Column> {
        let plain = |label| Column { label, path: None, order: "" };
        let sorted = |label, sort: &str, first: &str| {
            let current = self.sort == sort || (sort == "created" && self.sort.is_empty());
            let other = if self.dir == "asc" { "desc" } else { "asc" };
            let dir = if current { other } else { first };
            let to = Self { sort: sort.to_owned(), dir: dir.to_owned(), ..self.clone() };
            let order = if self.dir == "asc" { "ascending" } else { "descending" };
            Column { label, path: Some(to.path("")), order: if current { order } else { "" } }
        };
        vec![
            sorted("Name", "name", "asc"),
            plain("Key"),
            plain("Role"),
            plain("Display limit"),
            sorted("Created", "created", "desc"),
            sorted("Last used", "used", "desc"),
            sorted("Expires", "expires", "asc"),
        ]
    }
}
