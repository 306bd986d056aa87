//! One key: what is known of it, what it may do and why, and what was done with it.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_permission::{Scope, catalogue};
use harmony_store::{
    Page,
    audit::{AuditEvent, Filter},
};
use harmony_workspace::{audit, key_table};

use super::{id_of, row::Row};
use crate::{
    Console, page,
    refusal::Refused,
    session::SignedIn,
    shell::{API_KEYS, Shell},
    words::{self, Moment},
};

/// How many of the latest events are shown.
const EVENTS: u32 = 20;

#[derive(Template)]
#[template(path = "api_keys/detail.html")]
struct DetailPage {
    shell: Shell,
    name: String,
    row: Row,
    may_rotate: bool,
    may_delete: bool,
    rotated_to: Option<String>,
    from: String,
    permissions: Vec<(String, String)>,
    events: Vec<Event>,
}

struct Event {
    at: Moment,
    action: String,
    by: String,
    from: String,
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::API_KEYS_READ, Scope::Team)?;
    let (id, principal) = (id_of(&path)?, person.principal().clone());
    let telling = person.may(catalogue::AUDIT_LOG_READ, Scope::All);
    let (found, events) = console
        .run(move |workspace| {
            let found = key_table::find(workspace, &principal, id)?;
            let of_key = Filter { subject: Some(id.to_string()), ..Filter::default() };
            let page = Page { after: None, limit: EVENTS };
            let events =
                if telling { audit::list(workspace, &principal, &of_key, &page)? } else { Vec::new() };
            Ok((found, events))
        })
        .await?;
    let (now, key) = (person.occasion.now, &found.row.key);
    let deletes = person.may(catalogue::API_KEYS_DELETE, Scope::All);
    let all = found.permissions.to_permissions();
    let page = DetailPage {
        shell: person.shell(key.name.clone(), API_KEYS),
        name: key.name.clone(),
        row: Row::new(&found.row, now),
        may_rotate: deletes && person.may(catalogue::API_KEYS_CREATE, Scope::All) && key.rotated_to.is_none(),
        may_delete: deletes,
        rotated_to: key.rotated_to.map(|next| next.to_string()),
        from: match &found.row.role {
            Some(role) => format!("From its role {role}."),
            None => "It has no role: these are the workspace’s default key permissions.".to_owned(),
        },
        permissions: all.iter().map(|held| (held.to_string(), words::permission(held))).collect(),
        events: events.iter().map(|event| told(event, &person)).collect(),
    };
    page::html(StatusCode::OK, &page)
}

fn told(event: &AuditEvent, person: &SignedIn) -> Event {
    let by_key = event.actor_key_id.clone();
    let by_user = event.actor_user_id.clone();
    Event {
        at: Moment::new(event.at, person.occasion.now),
        action: words::event(&event.action),
        by: by_key.or(by_user).unwrap_or_else(|| "the operator".to_owned()),
        from: event.client_ip.clone().unwrap_or_else(|| "the command line".to_owned()),
    }
}
