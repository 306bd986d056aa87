//! One key: what is known of it, what it may do and why, and what was done with it.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_permission::{Scope, catalogue};
use harmony_store::usage::Outcome;
use harmony_workspace::{key_table, usage};

use super::{
    chart::{self, Range},
    id_of,
    row::{Creator, Row},
};
use crate::{
    Console, audit_log,
    form::Form,
    page, permits,
    refusal::Refused,
    session::SignedIn,
    shell::{API_KEYS, Shell},
    words,
};

/// How many of the latest events are shown.
const EVENTS: u32 = 20;
/// The use of a key that is younger is shown by the hour.
const YOUNG: Duration = Duration::from_secs(2 * 86_400);

#[derive(Template)]
#[template(path = "api_keys/detail.html")]
struct DetailPage {
    shell: Shell,
    name: String,
    row: Row,
    saved: bool,
    may_edit: bool,
    may_rotate: bool,
    may_delete: bool,
    rotated_to: Option<String>,
    from: String,
    permissions: Vec<(String, String)>,
    events: Vec<audit_log::Row>,
    /// Drawn by [`chart::draw`], with nothing in it that anybody entered: for a desk, and for a phone.
    charts: [String; 2],
    ranges: [(String, &'static str, bool); 2],
    outcomes: [&'static str; 6],
    buckets: Vec<(String, Vec<String>)>,
    last_day: String,
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::API_KEYS_READ, Scope::Team)?;
    let (id, principal) = (id_of(&path)?, person.principal().clone());
    let occasion = person.occasion.clone();
    let (found, used) = console
        .run(move |workspace| {
            let found = key_table::find(workspace, &principal, id)?;
            let used = usage::of_key(workspace, &principal, &occasion, id)?;
            Ok((found, used))
        })
        .await?;
    let (now, key) = (person.occasion.now, &found.row.key);
    let creates = person.may(catalogue::API_KEYS_CREATE, Scope::All);
    let deletes = person.may(catalogue::API_KEYS_DELETE, Scope::All);
    let all = found.permissions.to_permissions();
    let young = key.created_at.plus(YOUNG) > now;
    let query = Form::of_query(&request);
    let range = match query.text("range") {
        "hours" => Range::Hours,
        "days" => Range::Days,
        _ if young => Range::Hours,
        _ => Range::Days,
    };
    let shown = range.of(&used);
    let place = |name, label, one| (format!("{API_KEYS}/{id}?range={name}#use"), label, range == one);
    let busy = shown.iter().rev().filter(|bucket| bucket.total() > 0);
    let page = DetailPage {
        charts: [chart::DESK, chart::PHONE].map(|width| chart::draw(shown, range, width)),
        ranges: [place("hours", "Last 48 hours", Range::Hours), place("days", "Last 90 days", Range::Days)],
        outcomes: Outcome::ALL.map(Outcome::as_str),
        buckets: busy.map(|bucket| (range.label(bucket), bucket.requests.map(said).into())).collect(),
        last_day: words::counted(i64::try_from(used.last_day()).unwrap_or(i64::MAX), "request"),
        shell: person.shell(key.name.clone(), API_KEYS),
        name: key.name.clone(),
        row: Row::new(&found.row, now),
        saved: query.filled("saved").is_some(),
        may_edit: creates,
        may_rotate: creates && deletes && key.rotated_to.is_none(),
        may_delete: deletes,
        rotated_to: key.rotated_to.map(|next| next.to_string()),
        from: match &found.row.role {
            Some(role) => format!("From its role {role}."),
            None => "It has no role: these are the workspace’s default key permissions.".to_owned(),
        },
        permissions: all.iter().map(|held| (held.to_string(), permits::permission(held))).collect(),
        events: audit_log::about(&person, &console, &id.to_string(), EVENTS).await?,
    };
    page::html(StatusCode::OK, &page)
}

fn said(requests: u64) -> String {
    words::thousands(i64::try_from(requests).unwrap_or(i64::MAX))
}
