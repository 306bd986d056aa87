//! Into a team, and out of it.

use actix_web::{HttpResponse, http::StatusCode, web};
use harmony_access::UserId;
use harmony_permission::{Scope, catalogue};
use harmony_workspace::teams;

use super::{detail::page_of, id_of};
use crate::{
    Console, form::Posted, page, refusal::Refused, session::SignedIn, shell::TEAMS, users::with_email,
};

pub(super) async fn add(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let id = id_of(&path)?;
    let mut page = page_of(&person, &console, id).await?;
    person.must(catalogue::TEAMS_UPDATE, Scope::All)?;
    person.must(catalogue::USERS_READ, Scope::Own)?;
    let form = posted.by(&person)?;
    match with_email(&person, &console, &form, "email").await? {
        Ok(user) => {
            let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
            console.run(move |workspace| teams::add_user(workspace, &principal, &occasion, id, user)).await?;
            Ok(page::see_other(&format!("{TEAMS}/{id}?done=added")))
        }
        Err(mistakes) => {
            form.text("email").clone_into(&mut page.email);
            page.mistakes = mistakes;
            page::html(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
    }
}

pub(super) async fn remove(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<(String, String)>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let (team, user) = path.into_inner();
    let (id, user) = (id_of(&team)?, UserId::parse(&user).map_err(|_| Refused::NotFound)?);
    page_of(&person, &console, id).await?;
    person.must(catalogue::TEAMS_UPDATE, Scope::All)?;
    posted.by(&person)?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let gone =
        console.run(move |workspace| teams::remove_user(workspace, &principal, &occasion, id, user)).await;
    match gone {
        // Somebody else was faster, or the form was sent twice: what was wanted is true.
        Ok(_) | Err(Refused::NotFound) => {}
        Err(refused) => return Err(refused),
    }
    let still_seen = page_of(&person, &console, id).await.is_ok();
    let path = if still_seen { format!("{TEAMS}/{id}?done=removed") } else { TEAMS.to_owned() };
    Ok(page::see_other(&path))
}
