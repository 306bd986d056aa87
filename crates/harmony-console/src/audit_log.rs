//! The audit log: who did what to what, filtered, one event in full, and all of it as JSON Lines.

use std::collections::HashMap;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, StatusCode, header},
    web,
};
use askama::Template;
use harmony_access::{AuditEventId, Timestamp};
use harmony_actix::get;
use harmony_permission::{Scope, catalogue};
use harmony_store::{
    Page,
    audit::{AuditEvent, Filter},
};
use harmony_workspace::{audit, times, users};

use crate::{
    Console,
    form::Form,
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{AUDIT_LOG, Shell},
    words::{self, Moment},
};

/// Events read at once for an export.
const EXPORTED_AT_ONCE: u32 = 500;
/// The most people whose names are shown; further ones by their ids.
const NAMES: u32 = 200;
/// What can be chosen; any other action can be written in the address.
const ACTIONS: [&str; 21] = [
    "api_key.created",
    "api_key.changed",
    "api_key.rotated",
    "api_key.deleted",
    "api_key.transferred",
    "api_key.imported",
    "role.created",
    "role.changed",
    "role.deleted",
    "user.created",
    "user.changed",
    "user.deleted",
    "user.password_changed",
    "user.password_reset",
    "team.created",
    "team.changed",
    "team.deleted",
    "workspace.created",
    "workspace.changed",
    "session.began",
    "session.ended",
];

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(web::resource("/audit-log").route(get().to(show)))
        .service(web::resource("/audit-log.jsonl").route(get().to(export)))
        .service(web::resource("/audit-log/{id}").route(get().to(show_one)));
}

#[derive(Template)]
#[template(path = "audit_log.html")]
struct LogPage {
    shell: Shell,
    action: String,
    actor: String,
    subject: String,
    from: String,
    to: String,
    actions: Vec<(&'static str, String)>,
    actors: Vec<(String, String)>,
    rows: Vec<Row>,
    after: Option<String>,
    export: String,
    narrowed: bool,
}

#[derive(Template)]
#[template(path = "audit_event.html")]
struct EventPage {
    shell: Shell,
    row: Row,
    detail: Vec<(String, String)>,
    request_id: String,
}

/// An event as the pages show it.
pub(crate) struct Row {
    pub(crate) id: String,
    pub(crate) at: Moment,
    pub(crate) action: String,
    pub(crate) by: String,
    pub(crate) key: Option<String>,
    pub(crate) subject: String,
    pub(crate) from: String,
}

/// The latest events about one thing, as far as the person may see any.
pub(crate) async fn about(
    person: &SignedIn,
    console: &Console,
    subject: &str,
    limit: u32,
) -> Result<Vec<Row>, Refused> {
    if !person.may(catalogue::AUDIT_LOG_READ, Scope::All) {
        return Ok(Vec::new());
    }
    let filter = Filter { subject: Some(subject.to_owned()), ..Filter::default() };
    let (events, names) = read(person, console, filter, Page { after: None, limit }).await?;
    Ok(events.iter().map(|event| row(event, &names, person.occasion.now)).collect())
}

async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::AUDIT_LOG_READ, Scope::All)?;
    let form = Form::of_query(&request);
    let page = Page { after: AuditEventId::parse(form.text("after")).ok(), limit: page::READ };
    let (mut events, names) = read(&person, &console, filter(&form), page).await?;
    let more = page::cut(&mut events);
    let last = events.last().map(|event| event.id.to_string());
    let text = |name| form.filled(name).unwrap_or_default().to_owned();
    let mut actors: Vec<_> = names.iter().map(|(id, name)| (id.clone(), name.clone())).collect();
    actors.sort_by(|one, other| one.1.cmp(&other.1));
    let shown = LogPage {
        shell: person.shell("Audit log", AUDIT_LOG),
        action: text("action"),
        actor: text("actor"),
        subject: text("subject"),
        from: text("from"),
        to: text("to"),
        actions: ACTIONS.map(|action| (action, words::label(action))).into(),
        actors,
        rows: events.iter().map(|event| row(event, &names, person.occasion.now)).collect(),
        after: last.filter(|_| more).map(|id| format!("{AUDIT_LOG}?{}", query(&form, Some(&id)))),
        export: format!("{AUDIT_LOG}.jsonl?{}", query(&form, None)),
        narrowed: !query(&form, None).is_empty(),
    };
    page::html(StatusCode::OK, &shown)
}

async fn read(
    person: &SignedIn,
    console: &Console,
    filter: Filter,
    page: Page<AuditEventId>,
) -> Result<(Vec<AuditEvent>, HashMap<String, String>), Refused> {
    let principal = person.principal().clone();
    let naming = person.may(catalogue::USERS_READ, Scope::All);
    console
        .run(move |workspace| {
            let events = audit::list(workspace, &principal, &filter, &page)?;
            let some = Page { after: None, limit: NAMES };
            let people = if naming { users::list(workspace, &principal, &some)? } else { Vec::new() };
            Ok((events, people.into_iter().map(|user| (user.id.to_string(), user.name)).collect()))
        })
        .await
}

fn filter(form: &Form) -> Filter {
    let text = |name| form.filled(name).map(str::to_owned);
    let day = |name| times::end_of_day(form.text(name)).ok();
    Filter {
        action: text("action"),
        actor: text("actor"),
        subject: text("subject"),
        from: day("from").map(|end| Timestamp::from_millis(end.as_millis() + 1 - 86_400_000)),
        to: day("to").map(|end| Timestamp::from_millis(end.as_millis() + 1)),
    }
}

/// The filters as a query string.
fn query(form: &Form, after: Option<&str>) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["action", "actor", "subject", "from", "to"] {
        form.filled(name).into_iter().for_each(|value| {
            query.append_pair(name, value);
        });
    }
    after.into_iter().for_each(|id| {
        query.append_pair("after", id);
    });
    query.finish()
}

fn row(event: &AuditEvent, names: &HashMap<String, String>, now: Timestamp) -> Row {
    let by = event.actor_user_id.as_ref().map(|id| names.get(id).unwrap_or(id).clone());
    Row {
        id: event.id.to_string(),
        at: Moment::new(event.at, now),
        action: words::label(&event.action),
        by: by.unwrap_or_else(|| "the operator".to_owned()),
        key: event.actor_key_id.clone(),
        subject: event.subject_id.clone(),
        from: event.client_ip.clone().unwrap_or_else(|| "the command line".to_owned()),
    }
}

async fn show_one(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::AUDIT_LOG_READ, Scope::All)?;
    let id = AuditEventId::parse(&path).map_err(|_| Refused::NotFound)?;
    let principal = person.principal().clone();
    let found = console.run(move |workspace| audit::find(workspace, &principal, id)).await?;
    let (_, names) = read(&person, &console, Filter::default(), Page { after: None, limit: 1 }).await?;
    let detail = serde_json::from_str::<serde_json::Map<_, _>>(&found.detail).unwrap_or_default();
    let shown = EventPage {
        shell: person.shell(words::label(&found.action), AUDIT_LOG),
        row: row(&found, &names, person.occasion.now),
        detail: detail.into_iter().map(|(name, value)| (words::label(&name), said(&value))).collect(),
        request_id: found.request_id.unwrap_or_else(|| "–".to_owned()),
    };
    page::html(StatusCode::OK, &shown)
}

/// A value for people: what is in a list is said with commas, and nothing as a dash.
fn said(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        Value::Array(all) => all.iter().map(said).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// All events that the filters let through, one JSON object a line, newest first. They are sent as they are read: the whole
/// log is never in memory.
async fn export(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::AUDIT_LOG_READ, Scope::All)?;
    let filter = filter(&Form::of_query(&request));
    // The framework reads a body that it does not send.
    let start = (request.method() != Method::HEAD).then_some((person, console, filter, None));
    let lines = futures_util::stream::unfold(start, |state| async {
        let (person, console, filter, after) = state?;
        let page = Page { after, limit: EXPORTED_AT_ONCE };
        let events = match read(&person, &console, filter.clone(), page).await {
            Ok((events, _)) => events,
            // The client sees an answer that was cut short.
            Err(refused) => return Some((Err(refused), None)),
        };
        let last = events.last()?.id;
        let text: String = events.iter().map(line).collect();
        Some((Ok(web::Bytes::from(text)), Some((person, console, filter, Some(last)))))
    });
    Ok(HttpResponse::Ok()
        .content_type("application/jsonl; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"audit-log.jsonl\""))
        .streaming(Box::pin(lines)))
}

fn line(event: &AuditEvent) -> String {
    let detail: serde_json::Value = serde_json::from_str(&event.detail).unwrap_or_default();
    let object = serde_json::json!({
        "id": event.id.to_string(), "at": times::rfc3339(event.at), "actor_user": event.actor_user_id,
        "actor_key": event.actor_key_id, "action": event.action, "subject": event.subject_id,
        "detail": detail, "client_ip": event.client_ip, "request_id": event.request_id,
    });
    format!("{object}\n")
}
