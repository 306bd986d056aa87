//! One line of the log for each request, and what is counted of it: in the metrics, and of the key that it came with.

use std::{rc::Rc, sync::Arc};

use actix_web::web;
use harmony_actix::{Answered, Authentication, Exposed, Observer};
use harmony_limit::Decision;
use harmony_workspace::usage::{Notebook, Uses};

use crate::{
    access_log::AccessLog,
    metrics::{Metrics, Tally},
};

/// The log, the metrics, and the use of keys: what the workers share.
#[derive(Clone)]
pub struct Observers {
    pub access: Arc<AccessLog>,
    pub metrics: web::Data<Metrics>,
    pub uses: Arc<Uses>,
}

impl Observers {
    /// What a new worker writes to.
    pub fn worker(&self) -> Rc<dyn Observer> {
        let (access, tally) = (Arc::clone(&self.access), self.metrics.tally());
        Rc::new(WorkerObserver { access, tally, uses: self.uses.notebook() })
    }
}

struct WorkerObserver {
    access: Arc<AccessLog>,
    tally: Arc<Tally>,
    uses: Arc<Notebook>,
}

impl Observer for WorkerObserver {
    fn answered(&self, answered: &Answered<'_>) {
        let route = answered.route();
        self.access.note(answered, &route);
        if let Some(key) = answered.key() {
            self.uses.note(key.id, answered.arrived(), answered.client(), answered.status().as_u16());
        }
        self.tally.answered(answered, &route);
    }

    fn decided(&self, decision: &Decision) {
        self.tally.decided(decision.allowed);
    }

    fn authenticated(&self, authentication: Authentication) {
        self.tally.authenticated(authentication);
    }

    fn exposed(&self, exposed: &Exposed) {
        self.tally.exposed();
        tracing::warn!(
            request_id = exposed.request_id.as_str(),
            client = %exposed.client,
            last_four = %exposed.last_four,
            key_id = exposed.key.map(tracing::field::display),
            "a key was seen in a URL, which proxies and browsers keep; replace it"
        );
    }
}
