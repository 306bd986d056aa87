//! The end of a user: their keys go where it is said, everything else of theirs is told before.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::UserId;
use harmony_permission::{Scope, catalogue};
use harmony_store::{Page, users::User};
use harmony_workspace::{
    Conflict, people,
    users::{self, KeysFate},
};

use super::{id_of, with_email};
use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    page,
    refusal::{Refused, sentence},
    session::SignedIn,
    shell::{Shell, USERS},
    words,
};

/// The most people who are offered while one enters an address.
const OFFERED: u32 = 200;

#[derive(Template)]
#[template(path = "users/remove.html")]
struct RemovePage<'a> {
    shell: Shell,
    id: UserId,
    user: User,
    keys: i64,
    counted: String,
    fate: &'a str,
    to: &'a str,
    others: Vec<User>,
    mistakes: Mistakes,
}

impl RemovePage<'_> {
    fn elsewhere(&self) -> Vec<&str> {
        let shown: &[&str] = if self.keys > 0 { &["keys", "to"] } else { &[] };
        self.mistakes.others(shown)
    }
}

fn must(person: &SignedIn) -> Result<(), Refused> {
    person.must(catalogue::USERS_READ, Scope::Own)?;
    person.must(catalogue::USERS_DELETE, Scope::All)
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    must(&person)?;
    let id = id_of(&path)?;
    form_page(StatusCode::OK, &person, &console, id, &Form::default(), Mistakes::default()).await
}

async fn form_page(
    status: StatusCode,
    person: &SignedIn,
    console: &Console,
    id: UserId,
    form: &Form,
    mistakes: Mistakes,
) -> Result<HttpResponse, Refused> {
    let principal = person.principal().clone();
    let (user, keys, all) = console
        .run(move |workspace| {
            let user = users::find(workspace, &principal, id)?;
            let keys = people::keys_to_part_from(workspace, &principal, id)?;
            let page = Page { after: None, limit: OFFERED };
            Ok((user, keys, users::list(workspace, &principal, &page)?))
        })
        .await?;
    let page = RemovePage {
        shell: person.shell(format!("Remove {}", user.name), USERS),
        id,
        user,
        keys,
        counted: words::counted(keys, "API key"),
        fate: form.text("keys"),
        to: form.text("to"),
        others: all.into_iter().filter(|other| other.id != id).collect(),
        mistakes,
    };
    page::html(status, &page)
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    must(&person)?;
    let id = id_of(&path)?;
    let form = posted.by(&person)?;
    let fate = match form.text("keys") {
        "transfer" => with_email(&person, &console, &form, "to").await?.map(KeysFate::Transfer),
        "delete" => Ok(KeysFate::Delete),
        _ => Ok(KeysFate::Unsaid),
    };
    let (status, mistakes) = match fate {
        Ok(fate) => match part(&person, &console, id, fate).await {
            Ok(()) => return Ok(page::see_other(&format!("{USERS}?removed=1"))),
            Err(refused) => mistakes_of(refused)?,
        },
        Err(mistakes) => (StatusCode::UNPROCESSABLE_ENTITY, mistakes),
    };
    form_page(status, &person, &console, id, &form, mistakes).await
}

async fn part(person: &SignedIn, console: &Console, id: UserId, fate: KeysFate) -> Result<(), Refused> {
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    // Whoever is to be removed may be read by the person, or is not there for them.
    console
        .change(move |workspace| {
            users::find(workspace, &principal, id)?;
            users::delete(workspace, &principal, &occasion, id, fate, None)
        })
        .await?;
    Ok(())
}

fn mistakes_of(refused: Refused) -> Result<(StatusCode, Mistakes), Refused> {
    let mut mistakes = Mistakes::default();
    match refused {
        Refused::Conflict(Conflict::KeysRemain { keys }) => {
            let keys = words::counted(i64::try_from(keys).unwrap_or(i64::MAX), "API key");
            mistakes.add("keys", format!("They have {keys}. Choose what becomes of them."));
            Ok((StatusCode::CONFLICT, mistakes))
        }
        Refused::Conflict(why @ Conflict::LastAdministrator) => {
            mistakes.add("id", sentence(&why.to_string()));
            Ok((StatusCode::CONFLICT, mistakes))
        }
        Refused::Stale => {
            mistakes
                .add("id", "Something of theirs was changed by somebody else just now. Please try again.");
            Ok((StatusCode::CONFLICT, mistakes))
        }
        Refused::Forbidden { required } => {
            mistakes
                .add("to", format!("One of the keys would permit {required} then, which you do not hold."));
            Ok((StatusCode::UNPROCESSABLE_ENTITY, mistakes))
        }
        // The sentences of the use case, as sentences.
        Refused::Fields(errors) => {
            for error in errors {
                mistakes.add(error.field, sentence(&error.detail));
            }
            Ok((StatusCode::UNPROCESSABLE_ENTITY, mistakes))
        }
        other => Err(other),
    }
}
