//! One team: its name, and who is in it.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::TeamId;
use harmony_permission::{Scope, catalogue};
use harmony_store::{Page, users::User};
use harmony_workspace::{
    people::{self, TeamDetail},
    teams, users,
};

use super::{id_of, mistakes_of};
use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{Shell, TEAMS},
    words::thousands,
};

/// The most people who are offered while one enters an address.
const OFFERED: u32 = 200;

#[derive(Template)]
#[template(path = "teams/detail.html")]
pub(super) struct DetailPage {
    shell: Shell,
    id: TeamId,
    known_as: String,
    may_change: bool,
    /// Takes reading users as well: whom one cannot see one cannot name.
    may_add: bool,
    may_delete: bool,
    done: &'static str,
    pub(super) name: String,
    version: i64,
    people: Vec<User>,
    unseen: usize,
    pub(super) email: String,
    offered: Vec<User>,
    pub(super) mistakes: Mistakes,
}

impl DetailPage {
    /// Whoever looks may be among those whom they may not see.
    fn more(&self) -> String {
        match i64::try_from(self.unseen).unwrap_or(i64::MAX) {
            1 if self.people.is_empty() => "1 person is".to_owned(),
            count if self.people.is_empty() => format!("{} people are", thousands(count)),
            count => format!("{} more", thousands(count)),
        }
    }
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    let mut page = page_of(&person, &console, id_of(&path)?).await?;
    page.done = match Form::of_query(&request).text("done") {
        "saved" => "Saved.",
        "added" => "They are in the team now.",
        "removed" => "They are out of the team now.",
        _ => "",
    };
    page::html(StatusCode::OK, &page)
}

/// The page of a team as it is.
pub(super) async fn page_of(person: &SignedIn, console: &Console, id: TeamId) -> Result<DetailPage, Refused> {
    person.must(catalogue::TEAMS_READ, Scope::Team)?;
    let may_change = person.may(catalogue::TEAMS_UPDATE, Scope::All);
    let may_add = may_change && person.may(catalogue::USERS_READ, Scope::Own);
    let principal = person.principal().clone();
    let (found, mut offered) = console
        .run(move |workspace| {
            let page = Page { after: None, limit: OFFERED };
            let offered = if may_add { users::list(workspace, &principal, &page)? } else { Vec::new() };
            Ok((people::team(workspace, &principal, id)?, offered))
        })
        .await?;
    let TeamDetail { team, people, unseen } = found;
    offered.retain(|user| people.iter().all(|member| member.id != user.id));
    Ok(DetailPage {
        shell: person.shell(team.name.clone(), TEAMS),
        id,
        known_as: team.name.clone(),
        may_change,
        may_add,
        may_delete: person.may(catalogue::TEAMS_DELETE, Scope::All),
        done: "",
        name: team.name,
        version: team.version.number(),
        people,
        unseen,
        email: String::new(),
        offered,
        mistakes: Mistakes::default(),
    })
}

pub(super) async fn rename(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let id = id_of(&path)?;
    // Whoever may not see the team is not told that there is one.
    let mut page = page_of(&person, &console, id).await?;
    person.must(catalogue::TEAMS_UPDATE, Scope::All)?;
    let form = posted.by(&person)?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let (name, seen) = (form.text("name").to_owned(), Some(form.version()));
    let renamed = console
        .run(move |workspace| teams::change(workspace, &principal, &occasion, id, Some(&name), seen))
        .await;
    let (status, mistakes) = match renamed {
        Ok(_) => return Ok(page::see_other(&format!("{TEAMS}/{id}?done=saved"))),
        Err(Refused::Stale) => {
            page = page_of(&person, &console, id).await?;
            let mut mistakes = Mistakes::default();
            mistakes.add(
                "name",
                format!(
                    "Somebody else changed this team meanwhile; it is called “{}” now. Save again to rename it.",
                    page.known_as
                ),
            );
            (StatusCode::CONFLICT, mistakes)
        }
        Err(refused) => mistakes_of(refused)?,
    };
    form.text("name").clone_into(&mut page.name);
    page.mistakes = mistakes;
    page::html(status, &page)
}
