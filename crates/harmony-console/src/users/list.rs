//! The table of users.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::UserId;
use harmony_permission::{Scope, catalogue};
use harmony_store::Page;
use harmony_workspace::people::{self, Person};

use crate::{
    Console,
    form::Form,
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{Shell, USERS},
    words::Moment,
};

#[derive(Template)]
#[template(path = "users/list.html")]
struct ListPage {
    shell: Shell,
    may_create: bool,
    removed: bool,
    q: String,
    rows: Vec<Row>,
    continued: bool,
    first: String,
    after: Option<String>,
}

struct Row {
    id: String,
    name: String,
    email: String,
    role: String,
    created: Moment,
    is_you: bool,
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::USERS_READ, Scope::Own)?;
    let query = Form::of_query(&request);
    let q = query.filled("q").unwrap_or_default().to_owned();
    let (principal, after) = (person.principal().clone(), UserId::parse(query.text("after")).ok());
    let (wanted, text) = (Page { after, limit: page::READ }, q.clone());
    let mut found =
        console.run(move |workspace| people::search(workspace, &principal, &text, &wanted)).await?;
    let more = page::cut(&mut found);
    let last = found.last().map(|last| last.user.id);
    let page = ListPage {
        shell: person.shell("Users", USERS),
        may_create: person.may(catalogue::USERS_CREATE, Scope::All),
        removed: query.filled("removed").is_some(),
        rows: found.into_iter().map(|found| row(found, &person)).collect(),
        continued: after.is_some(),
        first: path(&q, None),
        after: last.filter(|_| more).map(|last| path(&q, Some(last))),
        q,
    };
    page::html(StatusCode::OK, &page)
}

/// The address of the page after this user, or of the first.
fn path(q: &str, after: Option<UserId>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    if !q.is_empty() {
        query.append_pair("q", q);
    }
    if let Some(after) = after {
        query.append_pair("after", &after.to_string());
    }
    let query = query.finish();
    if query.is_empty() { USERS.to_owned() } else { format!("{USERS}?{query}") }
}

fn row(Person { user, role }: Person, person: &SignedIn) -> Row {
    Row {
        id: user.id.to_string(),
        is_you: user.id == person.principal().user(),
        created: Moment::new(user.created_at, person.occasion.now),
        name: user.name,
        email: user.email,
        role,
    }
}
