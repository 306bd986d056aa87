//! `harmony doctor`: what would keep a server from running well, said before it does.

mod postgres;
mod redis;

use harmony_access::Timestamp;
use harmony_store::{DatabaseUrl, Store, StoreError, Transport, server, users};
use serde::Serialize;

use super::JsonArgs;
use crate::{
    failure::Failure,
    folder, output, serve,
    settings::{Said, Settings},
};

/// A clock before this is wrong: the beginning of 2025, when there was no such program.
const EARLIEST: Timestamp = Timestamp::from_millis(1_735_689_600_000);
/// A clock after this is wrong, too: the beginning of 2100.
const LATEST: Timestamp = Timestamp::from_millis(4_102_444_800_000);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failure,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: &'static str,
    verdict: Verdict,
    detail: String,
}

fn finding(check: &'static str, verdict: Verdict, detail: impl Into<String>) -> Finding {
    Finding { check, verdict, detail: detail.into() }
}

pub fn run(said: Said, args: JsonArgs) -> Result<(), Failure> {
    let mut findings = vec![clock(serve::read_clock().wall)];
    match said.settle() {
        Err(error) => findings.push(finding("configuration", Verdict::Failure, error.to_string())),
        Ok(settings) => {
            findings.push(match serve::check(&settings) {
                Ok(()) => finding("configuration", Verdict::Ok, "every entry is understood"),
                Err(failure) => finding("configuration", Verdict::Failure, failure.to_string()),
            });
            findings.push(data_folder(&settings));
            findings.push(transport(&settings));
            findings.extend(store(&settings));
            findings.push(redis::redis(settings.redis_url.as_ref()));
        }
    }
    if args.json {
        output::json(&serde_json::json!({ "findings": findings }))?;
    } else {
        for found in &findings {
            let verdict = format!("{:?}", found.verdict).to_lowercase();
            output::line(&format!("{verdict:8} {:14} {}", found.check, found.detail))?;
        }
    }
    let failures = findings.iter().filter(|found| found.verdict == Verdict::Failure).count();
    if failures == 0 { Ok(()) } else { Err(Failure::refused(format!("{failures} of the checks failed"))) }
}

fn clock(now: Timestamp) -> Finding {
    if now >= EARLIEST && now < LATEST {
        finding("clock", Verdict::Ok, harmony_workspace::times::rfc3339(now))
    } else {
        let detail = format!(
            "it says {}; expirations would be judged wrongly",
            harmony_workspace::times::rfc3339(now)
        );
        finding("clock", Verdict::Failure, detail)
    }
}

fn data_folder(settings: &Settings) -> Finding {
    let place = settings.data_dir.display();
    if settings.database_url.sqlite_path().is_none() {
        return finding("data folder", Verdict::Ok, "none is needed with PostgreSQL");
    }
    match folder::is_open_to_others(&settings.data_dir) {
        Ok(false) => finding("data folder", Verdict::Ok, format!("{place} is this user's alone")),
        Ok(true) => {
            let detail = format!("others may enter {place}; run: chmod 700 {place}");
            finding("data folder", Verdict::Failure, detail)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => finding(
            "data folder",
            Verdict::Warning,
            format!("{place} is not there yet; `harmony serve` makes it"),
        ),
        Err(error) => finding("data folder", Verdict::Failure, format!("{place}: {error}")),
    }
}

/// What the URL promises; what the connection turned out to be is said by [`encryption`].
fn transport(settings: &Settings) -> Finding {
    let way = match &settings.database_url {
        DatabaseUrl::Sqlite(_) => Transport::Local,
        DatabaseUrl::Postgres(url) => url.transport(),
    };
    let (verdict, detail) = match way {
        Transport::Local => (Verdict::Ok, "the database is on this machine"),
        Transport::Verified => {
            (Verdict::Ok, "the database is on another machine, and has to prove who it is")
        }
        Transport::Encrypted => (
            Verdict::Warning,
            "the database on another machine need not prove who it is; say sslmode=verify-full in its URL",
        ),
        Transport::Plain if settings.database_allow_plaintext => (
            Verdict::Warning,
            "the database on another machine is spoken to in plain text: for a private network only",
        ),
        Transport::Plain => (
            Verdict::Failure,
            "the database is on another machine; say sslmode=verify-full in its URL, or set database_allow_plaintext to \
             accept plain text on a private network",
        ),
    };
    finding("transport", verdict, detail)
}

fn encryption(settings: &Settings, store: &Store) -> Finding {
    let local = match &settings.database_url {
        DatabaseUrl::Sqlite(_) => return finding("encryption", Verdict::Ok, "none is needed with SQLite"),
        DatabaseUrl::Postgres(url) => url.transport() == Transport::Local,
    };
    match store.encryption() {
        Ok(Some(how)) => finding("encryption", Verdict::Ok, format!("the connection is encrypted: {how}")),
        Ok(None) if local => finding(
            "encryption",
            Verdict::Ok,
            "the connection is not encrypted, and does not leave this machine",
        ),
        Ok(None) => finding("encryption", Verdict::Warning, "the connection is not encrypted"),
        Err(error) => finding("encryption", Verdict::Failure, error.to_string()),
    }
}

/// Looking must not make a database that is not there.
fn store(settings: &Settings) -> Vec<Finding> {
    if settings.database_url.sqlite_path().is_some_and(|path| !path.exists()) {
        return vec![finding(
            "store",
            Verdict::Warning,
            "there is no database yet; `harmony serve` makes it",
        )];
    }
    let looked = serve::open_store(settings).and_then(|store| Ok((look(&store)?, store)));
    match looked {
        Ok(((users, server), store)) => {
            let opens = format!("{} opens; users: {users}", settings.database_url);
            let postgres = server.map(|server| postgres::findings(&server, settings.database_connections));
            let first = [finding("store", Verdict::Ok, opens), encryption(settings, &store)];
            first.into_iter().chain(postgres.into_iter().flatten()).collect()
        }
        Err(failure) => vec![finding("store", Verdict::Failure, failure.to_string())],
    }
}

fn look(store: &Store) -> Result<(i64, Option<server::Server>), Failure> {
    Ok(store.read::<_, StoreError>(|tx| Ok((users::count_all(tx)?, server::server(tx)?)))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_at_the_epoch_is_found_wrong_and_one_of_today_is_not() {
        assert_eq!(clock(Timestamp::from_millis(0)).verdict, Verdict::Failure);
        assert_eq!(clock(Timestamp::from_millis(1_795_000_000_000)).verdict, Verdict::Ok);
        assert_eq!(clock(LATEST).verdict, Verdict::Failure);
    }
}
