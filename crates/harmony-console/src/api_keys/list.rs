//! The table of keys; all of its state is in the address.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::{RoleId, UserId};
use harmony_permission::{Scope, catalogue};
use harmony_store::{
    Page,
    key_table::{KeyQuery, KeyState, MAX_OFFSET, SortBy},
};
use harmony_workspace::{key_table, roles, users};

use super::row::{Row, SOON};
use crate::{
    Console,
    form::Form,
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{API_KEYS, Shell},
    words,
};

const PAGE_ROWS: u32 = 50;
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
    page: u32,
}

#[derive(Template)]
#[template(path = "api_keys/list.html")]
struct ListPage {
    shell: Shell,
    may_create: bool,
    may_delete: bool,
    done: Option<String>,
    limit: String,
    view: View,
    states: [(&'static str, &'static str); 5],
    roles: Vec<Choice>,
    owners: Vec<Choice>,
    columns: Vec<Column>,
    rows: Vec<Row>,
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

const STATES: [(&str, &str); 5] = [
    ("", "Any state"),
    ("active", "Active"),
    ("expiring", "Expires within 7 days"),
    ("expired", "Expired"),
    ("unused", "Never used"),
];

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::API_KEYS_READ, Scope::Team)?;
    let form = Form::of_query(&request);
    let view = View::of(&form);
    let query = view.query(&person);
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let choosing =
        (person.may(catalogue::ROLES_READ, Scope::All), person.may(catalogue::USERS_READ, Scope::Team));
    let (mut found, roles, owners) = console
        .run(move |workspace| {
            let found = key_table::list(workspace, &principal, &occasion, &query)?;
            let (some_roles, some_users) =
                (Page { after: None, limit: CHOICES }, Page { after: None, limit: CHOICES });
            let roles =
                if choosing.0 { roles::list(workspace, &principal, &some_roles)? } else { Vec::new() };
            let owners =
                if choosing.1 { users::list(workspace, &principal, &some_users)? } else { Vec::new() };
            Ok((found, roles, owners))
        })
        .await?;
    let more = found.len() > PAGE_ROWS as usize;
    found.truncate(PAGE_ROWS as usize);
    let rate = console.limit;
    let page = ListPage {
        may_create: person.may(catalogue::API_KEYS_CREATE, Scope::All),
        may_delete: person.may(catalogue::API_KEYS_DELETE, Scope::All),
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
        rows: found.iter().map(|row| Row::new(row, person.occasion.now)).collect(),
        before: (view.page > 0).then(|| view.path(view.page - 1)),
        after: (more && (view.page + 1) * PAGE_ROWS <= MAX_OFFSET).then(|| view.path(view.page + 1)),
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

impl View {
    fn of(form: &Form) -> Self {
        let text = |name| form.filled(name).unwrap_or_default().to_owned();
        let page = form.text("page").parse().unwrap_or(0);
        Self {
            q: text("q"),
            state: text("state"),
            role: text("role"),
            owner: text("owner"),
            sort: text("sort"),
            dir: text("dir"),
            page: std::cmp::min(page, MAX_OFFSET / PAGE_ROWS),
        }
    }

    fn is_narrowed(&self) -> bool {
        [&self.q, &self.state, &self.role, &self.owner].iter().any(|text| !text.is_empty())
    }

    fn query(&self, person: &SignedIn) -> KeyQuery {
        let state = match self.state.as_str() {
            "active" => Some(KeyState::Active),
            "expiring" => Some(KeyState::ExpiringBy(person.occasion.now.plus(SOON))),
            "expired" => Some(KeyState::Expired),
            "unused" => Some(KeyState::Unused),
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
            role: RoleId::parse(&self.role).ok(),
            state,
            sort,
            ascending: self.dir == "asc",
            offset: self.page * PAGE_ROWS,
            limit: PAGE_ROWS + 1,
        }
    }

    fn path(&self, page: u32) -> String {
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
        if page > 0 {
            query.append_pair("page", &page.to_string());
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
            Column { label, path: Some(to.path(0)), order: if current { order } else { "" } }
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
