//! A server that takes no changes lags, or will: it is neither served from nor waited for in vain.

use std::time::Duration;

use reqwest::Method;

use super::{
    cluster::Cluster,
    load::{under_load, until_more},
};
use crate::server::{Place, eventually, now, psql};

/// What the binary says when it does not start on this URL.
fn refused(url: &str) -> String {
    let place = Place::at(url);
    let ran = place.run(&["serve", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"], "");
    assert_eq!(ran.status.code(), Some(1));
    String::from_utf8(ran.stderr).unwrap()
}

#[test]
fn a_server_does_not_start_on_a_database_that_takes_no_changes() {
    let place = Place::postgres();
    place.init();
    let url = place.database_url();
    let name = url.rsplit_once('/').unwrap().1;
    place.sql(&format!("ALTER DATABASE \"{name}\" SET default_transaction_read_only = on"));
    let said = refused(&url);
    assert!(
        said.contains("takes no changes: it is a standby, or default_transaction_read_only is on"),
        "{said}"
    );
    let doctor = place.run(&["doctor"], "");
    assert_eq!(doctor.status.code(), Some(1));
    assert!(String::from_utf8(doctor.stdout).unwrap().contains("takes no changes"));
}

#[test]
fn while_the_database_takes_no_changes_it_is_503_and_afterwards_all_is_well() {
    let cluster = Cluster::start();
    cluster.sql("CREATE DATABASE harmony");
    let place = Place::at(&cluster.url("harmony"));
    place.init();
    let (admin, server) = (place.key(&["--role", "Admin"]), place.serve());
    let all_sessions = |read_only: &str| {
        cluster.sql(&format!("ALTER SYSTEM SET default_transaction_read_only = {read_only}"));
        cluster.sql("SELECT pg_reload_conf()");
    };
    all_sessions("on");
    eventually("the lease has run out", || (server.get("/v1/whoami", &admin).status == 503).then_some(()));
    let create = || server.post("/v1/api-keys", &admin, &serde_json::json!({ "name": "x" }));
    assert_eq!(create().outcome(), (503, "unavailable".into()));
    assert_eq!(server.ask(Method::GET, "/readyz", None, None).status, 503);
    // Nothing is even read: it might be older than a deletion.
    assert_eq!(server.get("/v1/api-keys", &admin).status, 503);
    assert!(server.log().contains("it takes no changes"), "{}", server.log());
    all_sessions("off");
    eventually("it is well again", || (create().status == 201).then_some(()));
}

#[test]
fn after_a_fail_over_to_the_standby_the_server_goes_on_there() {
    let primary = Cluster::start();
    primary.sql("CREATE DATABASE harmony");
    let standby = Cluster::standby_of(&primary);
    let said = refused(&standby.url("harmony"));
    assert!(said.contains("takes no changes"), "{said}");

    let (first, second) = (primary.socket_folder().display(), standby.socket_folder().display());
    let url = format!("postgres://harmony@/harmony?host={first},{second}&target_session_attrs=read-write");
    let place = Place::at(&url);
    place.init();
    let (admin, dead, server) = (place.key(&["--role", "Admin"]), place.key(&[]), place.serve());
    let path = format!("/v1/api-keys/{}", dead.id);
    assert_eq!(server.ask(Method::DELETE, &path, Some(&admin.text), None).status, 204);
    let (recovered, tally) = under_load(&server, &admin, &dead, |tally| {
        until_more(|| tally.accepted(), 100);
        // In order: everything that was answered is on the standby, too.
        primary.stop();
        let stopped = now();
        standby.promote();
        let create = || server.post("/v1/api-keys", &admin, &serde_json::json!({ "name": "x" }));
        eventually("changes are made on the other server", || (create().status == 201).then_some(()));
        stopped.elapsed()
    });
    tally.judge("a fail-over", recovered);
    assert!(recovered < Duration::from_secs(10), "{recovered:?}");
    let there = psql("SELECT count(*) FROM api_keys WHERE name = 'x'", &standby.url("harmony"));
    assert_eq!(there.trim(), "1");
}
