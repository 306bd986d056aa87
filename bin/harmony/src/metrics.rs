//! What is counted, in the OpenMetrics text format, on a listener of its own.

mod tally;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use actix_web::{HttpResponse, web};
use harmony_actix::ClientAddr;
use harmony_store::Store;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

pub use tally::Tally;
use tally::{DURATIONS_SECS, Total};

use crate::{
    limiter::RateLimiter,
    node::{Cache, Standing},
};

/// All counts of the process.
pub struct Metrics {
    registry: Registry,
    tallies: Arc<Tallies>,
}

/// One a worker that ever ran.
#[derive(Default)]
struct Tallies(Mutex<Vec<Arc<Tally>>>);

impl Metrics {
    /// With what the cache, the limiter and the store count themselves.
    pub fn new(rooms: Rooms) -> Self {
        let (mut registry, tallies) = (Registry::with_prefix("harmony"), Arc::new(Tallies::default()));
        registry.register_collector(Box::new(Workers(Arc::clone(&tallies))));
        let waits = rooms.standing.waits.clone();
        registry.register("revocation_wait_seconds", "Time until a change was true everywhere", waits);
        registry.register_collector(Box::new(rooms));
        Self { registry, tallies }
    }

    /// Where a new worker counts.
    pub fn tally(&self) -> Arc<Tally> {
        let tally = Arc::new(Tally::default());
        self.tallies.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&tally));
        tally
    }

    fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

impl Tallies {
    fn total(&self) -> Total {
        let mut total = Total::default();
        let tallies = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tallies.iter().for_each(|tally| total.add(tally));
        total
    }
}

/// What the workers counted, added up at each scrape.
struct Workers(Arc<Tallies>);

impl fmt::Debug for Workers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Workers")
    }
}

impl Collector for Workers {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let total = self.0.total();
        let counter = MetricType::Counter;
        let mut requests = encoder.encode_descriptor("requests", "Requests answered", None, counter)?;
        for ((method, route), answers) in &total.answers {
            for (status, count) in &answers.statuses {
                let labels = [("method", *method), ("route", route), ("status", &status.to_string())];
                ConstCounter::new(*count).encode(requests.encode_family(&labels)?)?;
            }
        }
        let (name, help) = ("request_duration_seconds", "Time to the answer's head");
        let mut durations = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for ((method, route), answers) in &total.answers {
            let ends = DURATIONS_SECS.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = ends.zip(answers.durations).collect();
            let count = answers.durations.iter().sum();
            let labels = [("method", *method), ("route", route)];
            let mut family = durations.encode_family(&labels)?;
            family.encode_histogram::<NoLabelSet>(answers.total_secs, count, &buckets, None)?;
        }
        let outcomes = [
            ("limiter_decisions", "Decisions of the rate limiter", &total.decisions),
            ("authentications", "Authentications by outcome", &total.authentications),
        ];
        for (name, help, counts) in outcomes {
            let mut metric = encoder.encode_descriptor(name, help, None, counter)?;
            for (outcome, count) in counts {
                ConstCounter::new(*count).encode(metric.encode_family(&[("outcome", *outcome)])?)?;
            }
        }
        let exposed = encoder.encode_descriptor("keys_exposed", "API keys seen in a URL", None, counter)?;
        ConstCounter::new(total.exposed).encode(exposed)
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
    pub limiter: Arc<RateLimiter>,
    pub store: Store,
    pub addresses: Arc<ClientAddr>,
    pub standing: Arc<Standing>,
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
        let (look_ups, use_cases) = (self.store.look_ups().counts(), self.store.use_cases().counts());
        let counters = [
            ("cache_hits", "Live keys answered from memory", cache.hits),
            ("cache_unknown_hits", "Unknown keys answered from memory", cache.unknown_hits),
            ("cache_misses", "Look-ups that went to the store", cache.misses),
            ("store_look_ups", "Queries of the store for a key", look_ups.begun),
            (
                "store_refusals",
                "Requests that had no turn at the store in time",
                look_ups.refused + use_cases.refused,
            ),
            ("limiter_evictions", "Live counts that gave way to another client's", self.limiter.evictions()),
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
            ("nodes_alive", "Processes that hold a lease", self.standing.nodes_alive()),
            ("revisions_behind", "Revocations not acknowledged yet", self.standing.revisions_behind()),
        ];
        for (name, help, value) in gauges {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        let age = ConstGauge::new(self.standing.lease_age_secs());
        let help = "Time since the renewal of the lease";
        let metric = encoder.encode_descriptor("lease_age_seconds", help, None, age.metric_type())?;
        age.encode(metric)?;
        self.limiter.encode(&mut encoder)
    }
}
