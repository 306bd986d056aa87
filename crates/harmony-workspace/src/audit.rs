//! The audit log.

use harmony_access::{AuditEventId, Principal, UserId, WorkspaceId};
use harmony_permission::catalogue;
use harmony_store::{
    Page, Tx,
    audit::{self, AuditEvent, Filter},
};

use crate::{Error, Occasion, Workspace, workspace::require_all};

/// The events of the actor's workspace, newest first.
///
/// # Errors
///
/// [`Error::Forbidden`] without `audit-log:read:all`.
pub fn list(
    workspace: &Workspace,
    actor: &Principal,
    filter: &Filter,
    page: &Page<AuditEventId>,
) -> Result<Vec<AuditEvent>, Error> {
    require_all(actor, catalogue::AUDIT_LOG_READ)?;
    workspace.read(|tx| Ok(audit::list(tx, actor.workspace(), filter, page)?))
}

/// One event of the actor's workspace.
///
/// # Errors
///
/// Without `audit-log:read:all`; when there is no such event.
pub fn find(workspace: &Workspace, actor: &Principal, id: AuditEventId) -> Result<AuditEvent, Error> {
    require_all(actor, catalogue::AUDIT_LOG_READ)?;
    workspace.read(|tx| audit::find(tx, actor.workspace(), id)?.ok_or(Error::NotFound))
}

/// Notes what `actor` did.
pub(crate) fn note(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    action: &str,
    subject: &impl ToString,
    detail: &serde_json::Value,
) -> Result<(), Error> {
    let key = actor.key().map(|key| key.id.to_string());
    let user = person(actor).map(|user| user.to_string());
    append(tx, actor.workspace(), (user, key), occasion, action, subject, detail)
}

/// The user who acts, or whom the acting key acts for; nobody on the operator's command line, for whomever it acts.
pub(crate) fn person(actor: &Principal) -> Option<UserId> {
    let is_operator = actor.key().is_none() && actor.session().is_none();
    (!is_operator).then(|| actor.user())
}

pub(crate) fn append(
    tx: &mut Tx<'_>,
    workspace: WorkspaceId,
    (actor_user_id, actor_key_id): (Option<String>, Option<String>),
    occasion: &Occasion,
    action: &str,
    subject: &impl ToString,
    detail: &serde_json::Value,
) -> Result<(), Error> {
    let event = AuditEvent {
        id: occasion.id()?,
        workspace,
        at: occasion.now,
        actor_user_id,
        actor_key_id,
        action: action.to_owned(),
        subject_id: subject.to_string(),
        detail: detail.to_string(),
        client_ip: occasion.client.map(|ip| ip.to_string()),
        request_id: occasion.request_id.clone(),
    };
    Ok(audit::insert(tx, &event)?)
}
