//! The audit log: who did what to what, when and from where.

use diesel::prelude::*;
use harmony_access::{AuditEventId, AuditEventKind, Timestamp, WorkspaceId, WorkspaceKind};

use crate::{
    Page, StoreError, Tx,
    columns::{IdText, Millis},
    schema::audit_events,
};

/// One event. Ids are texts here: an event outlives what it tells of.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = audit_events)]
pub struct AuditEvent {
    /// Its id.
    #[diesel(deserialize_as = IdText<AuditEventKind>)]
    pub id: AuditEventId,
    /// The workspace that it happened in.
    #[diesel(deserialize_as = IdText<WorkspaceKind>, column_name = workspace_id)]
    pub workspace: WorkspaceId,
    /// When.
    #[diesel(deserialize_as = Millis)]
    pub at: Timestamp,
    /// The user who acted, or whom the acting key acts for; `None` is the operator's command line.
    pub actor_user_id: Option<String>,
    /// The key that acted.
    pub actor_key_id: Option<String>,
    /// What was done, such as `api_key.created`.
    pub action: String,
    /// What it was done to.
    pub subject_id: String,
    /// More of it, as a JSON object; never a secret.
    pub detail: String,
    /// The client's address.
    pub client_ip: Option<String>,
    /// The request that it was part of.
    pub request_id: Option<String>,
}

/// What a list of events may be narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// This action only.
    pub action: Option<String>,
    /// What this user did.
    pub actor: Option<String>,
    /// What was done to this.
    pub subject: Option<String>,
    /// From this instant on.
    pub from: Option<Timestamp>,
    /// Before this instant.
    pub to: Option<Timestamp>,
}

/// Adds an event, in the transaction of what it tells of.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn insert(tx: &mut Tx<'_>, event: &AuditEvent) -> Result<(), StoreError> {
    diesel::insert_into(audit_events::table)
        .values((
            audit_events::id.eq(event.id.to_string()),
            audit_events::workspace_id.eq(event.workspace.to_string()),
            audit_events::at.eq(event.at.as_millis()),
            audit_events::actor_user_id.eq(&event.actor_user_id),
            audit_events::actor_key_id.eq(&event.actor_key_id),
            audit_events::action.eq(&event.action),
            audit_events::subject_id.eq(&event.subject_id),
            audit_events::detail.eq(&event.detail),
            audit_events::client_ip.eq(&event.client_ip),
            audit_events::request_id.eq(&event.request_id),
        ))
        .execute(tx.connection)?;
    Ok(())
}

/// The event of a workspace with this id.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(
    tx: &mut Tx<'_>,
    workspace: WorkspaceId,
    id: AuditEventId,
) -> Result<Option<AuditEvent>, StoreError> {
    let query = audit_events::table
        .filter(audit_events::workspace_id.eq(workspace.to_string()))
        .filter(audit_events::id.eq(id.to_string()))
        .select(AuditEvent::as_select());
    Ok(query.first(tx.connection).optional()?)
}

/// The events of a workspace, newest first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list(
    tx: &mut Tx<'_>,
    workspace: WorkspaceId,
    filter: &Filter,
    page: &Page<AuditEventId>,
) -> Result<Vec<AuditEvent>, StoreError> {
    let mut query = audit_events::table
        .filter(audit_events::workspace_id.eq(workspace.to_string()))
        .select(AuditEvent::as_select())
        .order(audit_events::id.desc())
        .limit(i64::from(page.limit))
        .into_boxed();
    if let Some(action) = &filter.action {
        query = query.filter(audit_events::action.eq(action));
    }
    if let Some(actor) = &filter.actor {
        query = query.filter(audit_events::actor_user_id.eq(actor));
    }
    if let Some(subject) = &filter.subject {
        query = query.filter(audit_events::subject_id.eq(subject));
    }
    if let Some(from) = filter.from {
        query = query.filter(audit_events::at.ge(from.as_millis()));
    }
    if let Some(to) = filter.to {
        query = query.filter(audit_events::at.lt(to.as_millis()));
    }
    if let Some(after) = page.after {
        query = query.filter(audit_events::id.lt(after.to_string()));
    }
    Ok(query.load(tx.connection)?)
}
