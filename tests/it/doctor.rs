//! `harmony doctor` looks at a real PostgreSQL and a real Redis.

use serde_json::Value;

use crate::{server::Place, shared_limit::Redis};

/// What it finds of one thing: the verdict, and what it says.
fn finding(place: &Place, more: &[&str], check: &str) -> (String, String) {
    let output = place.run(&[&["doctor", "--json"], more].concat(), "");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["findings"].as_array().unwrap();
    let failed = findings.iter().any(|found| found["verdict"] == "failure");
    assert_eq!(output.status.code(), Some(i32::from(failed)), "{report}");
    let found = findings.iter().find(|found| found["check"] == check);
    let found = found.unwrap_or_else(|| panic!("no {check} in {report}"));
    let text = |member: &str| found[member].as_str().unwrap().to_owned();
    (text("verdict"), text("detail"))
}

/// Changes something of this place's database.
fn alter(place: &Place, how: &str) {
    place.sql(&format!("DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {how}', current_database()); END $$"));
}

#[test]
fn a_postgres_that_loses_what_was_answered_is_warned_of() {
    let place = Place::postgres();
    let found = |check| finding(&place, &[], check);
    // The one beside the tests does not wait for its disk.
    let (verdict, detail) = found("durability");
    assert_eq!(verdict, "warning");
    assert!(detail.contains("fsync is off") && detail.contains("full_page_writes is off"), "{detail}");
    alter(&place, "SET synchronous_commit = on");
    assert!(!found("durability").1.contains("synchronous_commit is off"));
    alter(&place, "SET synchronous_commit = off");
    assert!(found("durability").1.contains("synchronous_commit is off"));
    assert_eq!(found("standby"), ("ok".to_owned(), "none follows".to_owned()));
}

#[test]
fn a_postgres_with_too_few_connections_for_a_server_is_warned_of() {
    let place = Place::postgres();
    let (verdict, detail) = finding(&place, &["--database-connections", "30"], "connections");
    assert_eq!(verdict, "ok");
    let most: u32 = place.sql("SHOW max_connections")[0].parse().unwrap();
    let kept: u32 = place.sql("SHOW superuser_reserved_connections")[0].parse().unwrap();
    let room = format!("lets {} in, enough for {} servers", most - kept, (most - kept) / 32);
    assert!(detail.contains(&room), "{detail}");
    alter(&place, "CONNECTION LIMIT 5");
    let (verdict, detail) = finding(&place, &[], "connections");
    assert_eq!(verdict, "warning");
    assert!(detail.contains("lets 5 in, which is too few for one server"), "{detail}");
}

#[test]
fn a_redis_is_looked_at_as_a_start_would() {
    let place = Place::sqlite();
    place.init();
    let (mut redis, evicting) = (Redis::start(&[]), Redis::start(&["--maxmemory-policy", "volatile-ttl"]));
    let found = |redis: &Redis| finding(&place, &["--redis-url", &redis.url()], "redis");
    let (verdict, detail) = found(&redis);
    assert_eq!(verdict, "ok");
    assert!(detail.contains(" answers and evicts nothing; version "), "{detail}");
    let (verdict, detail) = found(&evicting);
    assert_eq!(verdict, "failure");
    assert!(detail.contains("has the eviction policy `volatile-ttl`"), "{detail}");
    redis.kill();
    let (verdict, detail) = found(&redis);
    assert_eq!(verdict, "failure");
    assert!(detail.starts_with("a server would not start: Redis at redis+unix://"), "{detail}");
    let (verdict, detail) = finding(&place, &[], "redis");
    assert_eq!((verdict.as_str(), detail.starts_with("none is named")), ("ok", true));
}
