//! `/v1/audit-events`

use actix_web::{HttpResponse, web};
use harmony_access::Timestamp;
use harmony_actix::{Code, Granted, Problem, get};
use harmony_store::audit::{AuditEvent, Filter};
use harmony_workspace::audit;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    list::{List, Query, list, page_by_id, query_text},
    needs::ReadAudit,
};
use harmony_workspace::times::{read_instant, rfc3339};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(web::resource("/audit-events").route(get().to(list_events)));
}

/// Who did what to what, when, and from where.
#[derive(Serialize, ToSchema)]
pub(crate) struct AuditEventBody {
    id: String,
    at: String,
    /// Null for the operator's command line.
    actor_user: Option<String>,
    actor_key: Option<String>,
    #[schema(example = "api_key.created")]
    action: String,
    subject: String,
    detail: serde_json::Value,
    client_ip: Option<String>,
    request_id: Option<String>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditQuery {
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    cursor: Option<String>,
    /// This action only, such as `api_key.created`.
    action: Option<String>,
    /// What this user did.
    actor: Option<String>,
    /// What was done to this.
    subject: Option<String>,
    /// From this instant on.
    from: Option<String>,
    /// Before this instant.
    to: Option<String>,
}

#[utoipa::path(get, path = "/v1/audit-events", tag = "Audit log", params(AuditQuery),
    responses((status = 200, body = List<AuditEventBody>)))]
pub(crate) async fn list_events(
    granted: Granted<ReadAudit>,
    api: web::Data<Api>,
    Query(query): Query<AuditQuery>,
) -> Result<HttpResponse, Problem> {
    let page = page_by_id(query.limit.as_deref(), query.cursor.as_deref())?;
    let filter = Filter {
        action: query_text("action", query.action)?,
        actor: query_text("actor", query.actor)?,
        subject: query_text("subject", query.subject)?,
        from: instant("from", query.from.as_deref())?,
        to: instant("to", query.to.as_deref())?,
    };
    let wanted = page.limit;
    let rows = api.run(move |it| audit::list(it, granted.principal(), &filter, &page)).await?;
    Ok(HttpResponse::Ok().json(list(rows, wanted, |event| event.id.to_string(), body)))
}

/// An instant in the query string.
pub(crate) fn instant(name: &str, text: Option<&str>) -> Result<Option<Timestamp>, Problem> {
    let read = text.map(read_instant).transpose();
    read.map_err(|error| Problem::new(Code::MalformedRequest).with_detail(format!("`{name}`: {error}.")))
}

fn body(event: &AuditEvent) -> AuditEventBody {
    AuditEventBody {
        id: event.id.to_string(),
        at: rfc3339(event.at),
        actor_user: event.actor_user_id.clone(),
        actor_key: event.actor_key_id.clone(),
        action: event.action.clone(),
        subject: event.subject_id.clone(),
        detail: serde_json::from_str(&event.detail).unwrap_or_default(),
        client_ip: event.client_ip.clone(),
        request_id: event.request_id.clone(),
    }
}
