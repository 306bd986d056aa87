//! The rate limiter of this server: on its own, or together with others in Redis.

use std::fmt;

use harmony_limit::{Asked, ClientKey, Limiter, MemoryLimiter, Now, Quota, TableMemory};
use harmony_limit_redis::{CALL_SECS, Event, Options, SharedLimiter, SharedWaiting, Stats};
use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use crate::{failure::Failure, serve::read_clock, settings::Settings};

/// One of the two, chosen at the start.
pub enum RateLimiter {
    Alone(Box<MemoryLimiter>),
    Shared(Box<SharedLimiter>),
}

impl RateLimiter {
    /// In Redis if the settings name one, otherwise in memory.
    pub fn start(settings: &Settings, quota: Quota, memory: TableMemory) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::of("the rate limiter cannot start", error);
        let Some(address) = settings.redis_url.clone() else {
            let limiter = MemoryLimiter::new(quota, memory).map_err(|error| failed(&error))?;
            return Ok(Self::Alone(Box::new(limiter)));
        };
        let options = Options::new(address, quota)
            .mode(settings.rate_limit_mode.into())
            .on_outage(settings.rate_limit_on_outage.into())
            .memory(memory)
            .prefix(&settings.redis_prefix);
        let limiter =
            SharedLimiter::start(&options, || read_clock().boot, log).map_err(|error| failed(&error))?;
        Ok(Self::Shared(Box::new(limiter)))
    }

    /// Live clients that had to make room for others.
    pub fn evictions(&self) -> u64 {
        match self {
            Self::Alone(limiter) => limiter.stats().evictions,
            Self::Shared(limiter) => limiter.stats().evictions,
        }
    }

    /// Gives back what was taken ahead.
    pub fn stop(&self) {
        if let Self::Shared(limiter) = self {
            limiter.stop();
        }
    }

    /// What is counted of Redis, if there is one.
    pub fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        match self {
            Self::Alone(_) => Ok(()),
            Self::Shared(limiter) => encode(&limiter.stats(), encoder),
        }
    }
}

impl Limiter for RateLimiter {
    type Waiting = SharedWaiting;

    fn quota(&self) -> Quota {
        match self {
            Self::Alone(limiter) => limiter.quota(),
            Self::Shared(limiter) => limiter.quota(),
        }
    }

    #[inline]
    fn ask(&self, client: ClientKey, now: Now) -> Asked<SharedWaiting> {
        match self {
            Self::Alone(limiter) => Asked::Decided(limiter.check(client, now)),
            Self::Shared(limiter) => limiter.ask(client, now),
        }
    }
}

fn log(event: Event<'_>) {
    match event {
        Event::Lost(cause) => {
            tracing::warn!(
                cause,
                "Redis is out of reach: only what is held, or a share of it, is let through"
            );
        }
        Event::Forgotten => tracing::warn!("Redis has lost its counts: the servers tell it anew"),
        Event::Back => tracing::info!("Redis counts again"),
    }
}

fn encode(stats: &Stats, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
    let counters = [
        ("limiter_redis_calls_failed", "Calls of Redis that failed or took too long", stats.calls_failed),
        ("limiter_redis_grants", "Grants of Redis", stats.grants),
        ("limiter_redis_granted", "Requests in grants of Redis", stats.granted),
        ("limiter_redis_given_back", "Granted requests that were given back unused", stats.given_back),
        ("limiter_redis_outages", "How often Redis went out of reach", stats.outages),
        ("limiter_redis_told_anew", "How often Redis had lost its counts and was told", stats.told_anew),
        (
            "limiter_outage_refused",
            "Requests refused because Redis was out of reach",
            stats.refused_in_outage,
        ),
        (
            "limiter_outage_shared",
            "Requests let through from this server's own share",
            stats.shared_in_outage,
        ),
    ];
    for (name, help, value) in counters {
        let counter = ConstCounter::new(value);
        counter.encode(encoder.encode_descriptor(name, help, None, counter.metric_type())?)?;
    }
    let gauges = [
        ("limiter_redis_out_of_reach", "Parts of Redis that are out of reach", stats.out_of_reach),
        ("limiter_redis_nodes", "Live servers that Redis knows, this one included", stats.nodes),
    ];
    for (name, help, value) in gauges {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
    }
    let ends = CALL_SECS.into_iter().chain([f64::MAX]);
    let buckets: Vec<(f64, u64)> = ends.zip(stats.calls_by_secs).collect();
    let help = "Time of a call of Redis";
    let mut histogram =
        encoder.encode_descriptor("limiter_redis_call_seconds", help, None, MetricType::Histogram)?;
    histogram.encode_histogram::<NoLabelSet>(stats.calls_secs, stats.calls, &buckets, None)
}
