//! Whether the Redis that servers count together in will do.

use harmony_limit_redis::{RedisAddress, inspect};

use super::{Finding, Verdict, finding};
use crate::failure::Failure;

pub fn redis(address: Option<&RedisAddress>) -> Finding {
    let Some(address) = address else {
        return finding("redis", Verdict::Ok, "none is named: each server counts its clients alone");
    };
    match inspect(address) {
        Err(error) => {
            let failure = Failure::of("a server would not start", &error);
            finding("redis", Verdict::Failure, failure.to_string())
        }
        Ok(servers) if servers.iter().any(|one| one.eviction.is_empty()) => {
            let detail = format!("{address} does not tell its maxmemory-policy; it has to be noeviction");
            finding("redis", Verdict::Warning, detail)
        }
        Ok(servers) => {
            let mut versions: Vec<_> = servers.iter().map(|one| one.version.as_str()).collect();
            versions.sort_unstable();
            versions.dedup();
            let detail = format!("{address} answers and evicts nothing; version {}", versions.join(", "));
            finding("redis", Verdict::Ok, detail)
        }
    }
}
