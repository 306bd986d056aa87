//! `harmony copy`, as an operator runs it: killed in the middle, refused, and followed by a server on the new database.

use std::{
    io::{BufRead, BufReader},
    process::{Output, Stdio},
};

use crate::server::Place;

/// Rows beside those of the keys, so that there is a middle to be killed in.
const MANY: usize = 15_000;
/// All that has to be the same, as PostgreSQL says it.
const WHOLE: &str = "SELECT count(*), md5(string_agg(e::text, ',' ORDER BY e.id)) FROM audit_events e";

/// Runs a copy to its end.
fn copy(from: &Place, to: &Place, more: &[&str]) -> Output {
    let (source, target) = (from.database_url(), to.database_url());
    to.bare_command(&[&["copy", "--from", &source, "--to", &target], more].concat()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn succeeds(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", said(output));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn refuses(output: &Output, why: &str) {
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), b"".as_slice()));
    assert!(said(output).contains(why), "{}", said(output));
}

/// Starts a copy and kills it, with SIGKILL, when it says that it has come so far.
fn killed_at(from: &Place, to: &Place, percent: u32) {
    let (source, target) = (from.database_url(), to.database_url());
    let mut command = to.bare_command(&["copy", "--from", &source, "--to", &target]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let heard = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let reached = heard.into_iter().find(|line| line.contains(&format!("copying {percent} %")));
    child.kill().unwrap();
    assert_eq!(child.wait().unwrap().code(), None, "it came to its end before it was killed");
    assert!(reached.is_some());
}

/// A workspace on PostgreSQL with many rows in one table.
fn large() -> Place {
    let place = Place::postgres();
    place.init();
    place.sql(&format!(
        "INSERT INTO audit_events SELECT 'evt_' || lpad(to_hex(n), 32, '0'), 'wsp', n, NULL, 'key', 'it''s', \
         md5(n::text), 'Zoë ' || n, NULL, NULL FROM generate_series(1, {MANY}) n"
    ));
    place
}

#[test]
fn a_copy_that_is_killed_twice_goes_on_and_ends_with_every_row() {
    let (source, sqlite, postgres) = (large(), Place::sqlite(), Place::postgres());
    for target in [&sqlite, &postgres] {
        killed_at(&source, target, 20);
        killed_at(&source, target, 60);
        let refusal = target.run(&["user", "list"], "");
        refuses(&refusal, "was not finished; run the same `harmony copy` again");
        let report = succeeds(&copy(&source, target, &[]));
        assert!(
            report.contains(" of them by an earlier attempt), and compared by count and digest"),
            "{report}"
        );
        assert!(succeeds(&copy(&source, target, &["--verify"])).starts_with("the two hold the same: "));
    }
    // SQLite's copy is killed on its way back to PostgreSQL as well.
    let back = Place::postgres();
    killed_at(&sqlite, &back, 40);
    succeeds(&copy(&sqlite, &back, &[]));
    assert_eq!(back.sql(WHOLE), source.sql(WHOLE));
    assert_eq!(postgres.sql(WHOLE), source.sql(WHOLE));
}

#[test]
fn a_target_that_was_tampered_with_is_found_and_stays_closed() {
    let (source, target) = (large(), Place::postgres());
    killed_at(&source, &target, 60);
    target.sql("UPDATE audit_events SET detail = 'x' WHERE at = 5");
    refuses(&copy(&source, &target, &[]), "the target is not like the source: table audit_events (source: ");
    refuses(&target.run(&["user", "list"], ""), "was not finished");
}

#[test]
fn a_key_made_on_sqlite_is_accepted_by_a_server_on_the_copy_and_a_deleted_one_is_not() {
    let (old, new) = (Place::sqlite(), Place::postgres());
    old.init();
    let (key, deleted) = (old.key(&["--role", "Admin"]), old.key(&["--role", "Admin"]));
    old.cli(&["key", "delete", &deleted.id]);
    let mut server = old.serve();
    assert_eq!(server.get("/v1/whoami", &key).status, 200);
    for more in [&[][..], &["--verify"]] {
        refuses(&copy(&old, &new, more), "a server or another copy is running on this data");
    }
    assert_eq!(server.terminate(), Some(0));
    let report: serde_json::Value = serde_json::from_str(&succeeds(&copy(&old, &new, &["--json"]))).unwrap();
    assert_eq!(report["resumed_after"], serde_json::Value::Null);
    let tables = report["tables"].as_array().unwrap();
    let rows = |name: &str| tables.iter().find(|table| table["table"] == name).unwrap()["rows"].as_u64();
    assert_eq!((rows("users"), rows("api_keys")), (Some(1), Some(1)));
    assert!(!tables.iter().any(|table| table["table"] == "nodes"));

    let server = new.serve();
    let whoami = server.get("/v1/whoami", &key);
    assert_eq!((whoami.status, &whoami.json()["id"]), (200, &key.id.clone().into()));
    assert_eq!(server.get("/v1/whoami", &deleted).status, 401);
    assert_eq!(server.list("/v1/api-keys", &key).len(), 1);
    refuses(&copy(&new, &Place::sqlite(), &[]), "1 server(s) run on ");
}

#[test]
fn what_is_not_empty_not_there_or_said_wrongly_is_refused() {
    let (source, target) = (Place::sqlite(), Place::postgres());
    source.init();
    target.init();
    refuses(&copy(&source, &target, &[]), "is not empty: table workspaces has rows");
    refuses(&copy(&source, &source, &[]), "the source and the target are the same database");
    refuses(&copy(&Place::sqlite(), &target, &[]), "there is no database sqlite:");
    refuses(&copy(&source, &Place::sqlite(), &["--verify"]), "there is no database sqlite:");
    let nowhere = source.data().with_file_name("nowhere");
    let typo = format!("sqlite:{}", nowhere.join("harmony.sqlite").display());
    for ends in
        [["--from", &typo, "--to", &target.database_url()], ["--from", &source.database_url(), "--to", &typo]]
    {
        let line = [&["copy", "--verify"][..], &ends].concat();
        refuses(&target.bare_command(&line).output().unwrap(), "there is no database sqlite:");
    }
    assert!(!nowhere.exists());
    for wrong in [&["copy", "--from", "sqlite:a"][..], &["copy", "--from", "sqlite:a", "--to", "mysql://b"]] {
        assert_eq!(target.bare_command(wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn urls_with_passwords_are_read_from_files() {
    let (source, target) = (Place::sqlite(), Place::postgres());
    source.init();
    let (from, to) = (target.data().with_extension("from"), target.data().with_extension("to"));
    std::fs::write(&from, source.database_url() + "\n").unwrap();
    std::fs::write(&to, target.database_url()).unwrap();
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let files = ["copy", "--from-file", from, "--to-file", to];
    succeeds(&target.bare_command(&files).output().unwrap());
    let missing = ["copy", "--from-file", "nowhere", "--to-file", to];
    assert_eq!(target.bare_command(&missing).output().unwrap().status.code(), Some(2));
}
