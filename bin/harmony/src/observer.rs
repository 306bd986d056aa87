//! One line of the log for each request, and what is counted of it.

use std::{net::IpAddr, sync::Arc};

use harmony_access::{KeyRecord, Now};
use harmony_actix::{Answered, Authentication, Exposed, Observer, Witness};
use harmony_limit::Decision;
use harmony_workspace::last_use::LastUses;

use crate::{access_log::AccessLog, metrics::Metrics};

/// The log and the metrics.
pub struct LogAndMetrics {
    pub access: AccessLog,
    pub metrics: Arc<Metrics>,
}

impl Observer for LogAndMetrics {
    fn answered(&self, answered: &Answered<'_>) {
        let route = answered.route();
        self.access.note(answered, &route);
        self.metrics.answered(answered, route);
    }

    fn decided(&self, decision: &Decision) {
        self.metrics.decided(decision.allowed);
    }

    fn authenticated(&self, authentication: Authentication) {
        self.metrics.authenticated(authentication);
    }

    fn exposed(&self, exposed: &Exposed) {
        self.metrics.exposed();
        tracing::warn!(
            request_id = exposed.request_id.as_str(),
            client = %exposed.client,
            last_four = %exposed.last_four,
            key_id = exposed.key.map(tracing::field::display),
            "a key was seen in a URL, which proxies and browsers keep; replace it"
        );
    }
}

/// Notes uses for the next flush.
pub struct NoteUses(pub Arc<LastUses>);

impl Witness for NoteUses {
    fn used(&self, key: &KeyRecord, client: IpAddr, now: Now) {
        self.0.note(key.id, now.wall, client);
    }
}
