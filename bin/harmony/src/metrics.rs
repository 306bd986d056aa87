//! What is counted, in the OpenMetrics text format, on a listener of its own.

use std::{fmt, sync::Arc};

use actix_web::{HttpResponse, web};
use harmony_actix::{Answered, Authentication, ClientAddr};
use harmony_limit::MemoryLimiter;
use harmony_store::Store;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::Histogram,
    },
    registry::Registry,
};

use crate::node::Cache;

/// The upper ends of the duration histogram, in seconds: from a remembered key's answer to a client's patience.
const DURATIONS_SECS: [f64; 13] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    method: &'static str,
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    method: &'static str,
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

/// All counters of the process.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    durations: Family<Route, Histogram, fn() -> Histogram>,
    limiter: Family<Outcome, Counter>,
    authentication: Family<Outcome, Counter>,
    // What nearly every request counts is found once, at the start.
    allowed: Counter,
    refused: Counter,
    accepted: Counter,
    exposed: Counter,
}

impl Metrics {
    /// With what the cache, the limiter and the store count themselves.
    pub fn new(rooms: Rooms) -> Self {
        let histogram: fn() -> Histogram = || Histogram::new(DURATIONS_SECS);
        let (limiter, authentication) = (Family::default(), Family::default());
        let of =
            |family: &Family<Outcome, Counter>, outcome| family.get_or_create_owned(&Outcome { outcome });
        let mut metrics = Self {
            allowed: of(&limiter, "allowed"),
            refused: of(&limiter, "refused"),
            accepted: of(&authentication, "accepted"),
            limiter,
            authentication,
            registry: Registry::with_prefix("harmony"),
            requests: Family::default(),
            durations: Family::new_with_constructor(histogram),
            exposed: Counter::default(),
        };
        metrics.register(rooms);
        metrics
    }

    fn register(&mut self, rooms: Rooms) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests answered", self.requests.clone());
        registry.register("request_duration_seconds", "Time to the answer's head", self.durations.clone());
        registry.register("limiter_decisions", "Decisions of the rate limiter", self.limiter.clone());
        registry.register("authentications", "Authentications by outcome", self.authentication.clone());
        registry.register("keys_exposed", "API keys seen in a URL", self.exposed.clone());
        registry.register_collector(Box::new(rooms));
    }

    pub fn answered(&self, answered: &Answered<'_>, route: String) {
        let route = Route { method: answered.known_method(), route };
        self.durations.get_or_create(&route).observe(answered.duration().as_secs_f64());
        let status = answered.status().as_u16();
        self.requests.get_or_create(&Request { method: route.method, route: route.route, status }).inc();
    }

    pub fn decided(&self, allowed: bool) {
        if allowed { &self.allowed } else { &self.refused }.inc();
    }

    pub fn authenticated(&self, authentication: Authentication) {
        let outcome = match authentication {
            Authentication::Accepted => {
                self.accepted.inc();
                return;
            }
            Authentication::Refused(code) => code.as_str(),
            Authentication::Unavailable => "unavailable",
        };
        self.authentication.get_or_create(&Outcome { outcome }).inc();
    }

    pub fn exposed(&self) {
        self.exposed.inc();
    }

    fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Answers a scrape.
pub async fn scrape(metrics: web::Data<Metrics>) -> HttpResponse {
    match metrics.text() {
        Ok(text) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(_) => HttpResponse::InternalServerError().finish(),
    }
}

/// What the rooms count themselves, asked at each scrape.
pub struct Rooms {
    pub cache: Arc<Cache>,
    pub limiter: Arc<MemoryLimiter>,
    pub store: Store,
    pub addresses: Arc<ClientAddr>,
}

impl fmt::Debug for Rooms {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Rooms")
    }
}

impl Collector for Rooms {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let cache = self.cache.stats();
        let (busy, open) = self.store.pool_use();
        let counters = [
            ("cache_hits", "Live keys answered from memory", cache.hits),
            ("cache_unknown_hits", "Unknown keys answered from memory", cache.unknown_hits),
            ("cache_misses", "Look-ups that went to the store", cache.misses),
            (
                "limiter_evictions",
                "Live counts that gave way to another client's",
                self.limiter.stats().evictions,
            ),
            (
                "forwarding_headers_ignored",
                "Forwarding headers from peers that are no trusted proxies",
                self.addresses.ignored_headers(),
            ),
        ];
        for (name, help, value) in counters {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)?;
        }
        let gauges = [
            ("store_connections_busy", "Connections in use", i64::from(busy)),
            ("store_connections_open", "Connections open", i64::from(open)),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        Ok(())
    }
}
