//! The table of teams.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::TeamId;
use harmony_permission::{Scope, catalogue};
use harmony_store::Page;
use harmony_workspace::people::{self, TeamRow};

use crate::{
    Console,
    form::Form,
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{Shell, TEAMS},
    words::{self, Moment},
};

#[derive(Template)]
#[template(path = "teams/list.html")]
struct ListPage {
    shell: Shell,
    may_create: bool,
    sees_all: bool,
    deleted: bool,
    rows: Vec<Row>,
    continued: bool,
    after: Option<String>,
}

struct Row {
    id: String,
    name: String,
    people: String,
    created: Moment,
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::TEAMS_READ, Scope::Team)?;
    let query = Form::of_query(&request);
    let (principal, after) = (person.principal().clone(), TeamId::parse(query.text("after")).ok());
    let wanted = Page { after, limit: page::READ };
    let mut found = console.run(move |workspace| people::teams(workspace, &principal, &wanted)).await?;
    let more = page::cut(&mut found);
    let last = found.last().map(|last| last.team.id);
    let page = ListPage {
        shell: person.shell("Teams", TEAMS),
        may_create: person.may(catalogue::TEAMS_CREATE, Scope::All),
        sees_all: person.may(catalogue::TEAMS_READ, Scope::All),
        deleted: query.filled("deleted").is_some(),
        rows: found.into_iter().map(|found| row(found, &person)).collect(),
        continued: after.is_some(),
        after: last.filter(|_| more).map(|last| format!("{TEAMS}?after={last}")),
    };
    page::html(StatusCode::OK, &page)
}

fn row(TeamRow { team, size }: TeamRow, person: &SignedIn) -> Row {
    Row {
        id: team.id.to_string(),
        created: Moment::new(team.created_at, person.occasion.now),
        name: team.name,
        people: words::thousands(size),
    }
}
