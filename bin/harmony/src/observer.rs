//! One line of the log for each request, and what is counted of it: in the metrics, and of the key that it came with.

use std::sync::Arc;

use harmony_actix::{Answered, Authentication, Exposed, Observer};
use harmony_limit::Decision;
use harmony_workspace::usage::Uses;

use crate::{access_log::AccessLog, metrics::Metrics};

/// The log, the metrics, and the use of keys.
pub struct Observers {
    pub access: AccessLog,
    pub metrics: Arc<Metrics>,
    pub uses: Arc<Uses>,
}

impl Observer for Observers {
    fn answered(&self, answered: &Answered<'_>) {
        let route = answered.route();
        self.access.note(answered, &route);
        if let Some(key) = answered.key() {
            self.uses.note(key.id, answered.arrived(), answered.client(), answered.status().as_u16());
        }
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
