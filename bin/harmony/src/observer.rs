//! One line of the log for each request, and what is counted of it.

use std::{net::IpAddr, sync::Arc};

use harmony_access::{KeyRecord, Now};
use harmony_actix::{Answered, Authentication, Exposed, Observer, Witness};
use harmony_limit::Decision;
use harmony_workspace::last_use::LastUses;

use crate::metrics::Metrics;

/// The log and the metrics.
pub struct LogAndMetrics(pub Arc<Metrics>);

impl Observer for LogAndMetrics {
    fn answered(&self, answered: &Answered<'_>) {
        let route = answered.route();
        tracing::info!(
            request_id = answered.request_id().as_str(),
            method = answered.known_method(),
            route = route.as_str(),
            status = answered.status().as_u16(),
            duration_ms = answered.duration().as_secs_f64() * 1_000.0,
            client = %answered.client(),
            key_id = answered.key().map(|key| tracing::field::display(key.id)),
            "request"
        );
        self.0.answered(answered, route);
    }

    fn decided(&self, decision: &Decision) {
        self.0.decided(decision.allowed);
    }

    fn authenticated(&self, authentication: Authentication) {
        self.0.authenticated(authentication);
    }

    fn exposed(&self, exposed: &Exposed) {
        self.0.exposed();
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
