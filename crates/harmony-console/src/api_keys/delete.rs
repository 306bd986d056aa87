//! The end of a key, or of several: said before what it breaks, and true once it is answered.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::ApiKeyId;
use harmony_permission::{Scope, catalogue};
use harmony_workspace::{
    Answered, Error,
    key_table::{self, KeyDetail, MAX_AT_ONCE},
    usage,
};

use super::{id_of, row::Row};
use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{API_KEYS, Shell},
    words,
};

#[derive(Template)]
#[template(path = "api_keys/delete.html")]
struct DeletePage {
    shell: Shell,
    rows: Vec<Row>,
    /// Where whoever thinks better of it goes.
    back: String,
    /// What is to be entered, when something in use is to be deleted.
    confirm: Option<String>,
    mistakes: Mistakes,
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let rows = rows(&person, &console, vec![id_of(&path)?]).await?;
    confirm_page(StatusCode::OK, &person, rows, Mistakes::default())
}

pub(super) async fn show_many(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::API_KEYS_DELETE, Scope::All)?;
    let ids = ids_of(&Form::of_query(&request))?;
    if ids.is_empty() {
        return Ok(page::see_other(API_KEYS));
    }
    let rows = rows(&person, &console, ids).await?;
    confirm_page(StatusCode::OK, &person, rows, Mistakes::default())
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let form = posted.by(&person)?;
    end(&person, &console, vec![id_of(&path)?], &form).await
}

pub(super) async fn perform_many(
    person: SignedIn,
    console: web::Data<Console>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let form = posted.by(&person)?;
    let ids = ids_of(&form)?;
    end(&person, &console, ids, &form).await
}

fn ids_of(form: &Form) -> Result<Vec<ApiKeyId>, Refused> {
    let mut ids = form.all("id").take(MAX_AT_ONCE).map(id_of).collect::<Result<Vec<_>, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    Ok(ids)
}

async fn rows(person: &SignedIn, console: &Console, ids: Vec<ApiKeyId>) -> Result<Vec<Row>, Refused> {
    person.must(catalogue::API_KEYS_READ, Scope::All)?;
    person.must(catalogue::API_KEYS_DELETE, Scope::All)?;
    let (principal, occasion, now) =
        (person.principal().clone(), person.occasion.clone(), person.occasion.now);
    // Read as part of a change: a key that somebody else deletes just now is told to be gone no sooner than to them.
    let found = console
        .change(move |workspace| {
            let one = |id: &ApiKeyId| -> Result<(KeyDetail, u64), Error> {
                let detail = key_table::find(workspace, &principal, *id)?;
                Ok((detail, usage::of_key(workspace, &principal, &occasion, *id)?.last_day()))
            };
            Ok(Answered { value: ids.iter().map(one).collect::<Result<Vec<_>, _>>()?, revision: None })
        })
        .await?;
    let row = |(detail, recent): &(KeyDetail, u64)| {
        let recent = words::counted(i64::try_from(*recent).unwrap_or(i64::MAX), "request");
        Row { recent: Some(recent), ..Row::new(&detail.row, now) }
    };
    Ok(found.iter().map(row).collect())
}

/// A key in use is deleted by whoever can say its name; several, by how many they are.
fn to_confirm(rows: &[Row]) -> Option<String> {
    let used = rows.iter().filter(|row| row.in_use).count();
    match rows {
        _ if used == 0 => None,
        [only] => Some(only.name.clone()),
        several => Some(format!("delete {} keys", several.len())),
    }
}

fn confirm_page(
    status: StatusCode,
    person: &SignedIn,
    rows: Vec<Row>,
    mistakes: Mistakes,
) -> Result<HttpResponse, Refused> {
    let title = match rows.as_slice() {
        [only] => format!("Delete {}", only.name),
        several => format!("Delete {}", words::counted(i64::try_from(several.len()).unwrap_or(0), "key")),
    };
    let back = match rows.as_slice() {
        [only] => format!("{API_KEYS}/{}", only.id),
        _ => API_KEYS.to_owned(),
    };
    let (confirm, shell) = (to_confirm(&rows), person.shell(title, API_KEYS));
    page::html(status, &DeletePage { shell, rows, back, confirm, mistakes })
}

async fn end(
    person: &SignedIn,
    console: &Console,
    ids: Vec<ApiKeyId>,
    form: &Form,
) -> Result<HttpResponse, Refused> {
    let rows = rows(person, console, ids.clone()).await?;
    if let Some(wanted) = to_confirm(&rows)
        && form.text("confirm").trim() != wanted
    {
        let mut mistakes = Mistakes::default();
        mistakes.add("confirm", format!("Enter “{wanted}”, just as it is written."));
        return confirm_page(StatusCode::UNPROCESSABLE_ENTITY, person, rows, mistakes);
    }
    let (principal, occasion, count) = (person.principal().clone(), person.occasion.clone(), ids.len());
    console.change(move |workspace| key_table::delete_all(workspace, &principal, &occasion, &ids)).await?;
    Ok(page::see_other(&format!("{API_KEYS}?deleted={count}")))
}
