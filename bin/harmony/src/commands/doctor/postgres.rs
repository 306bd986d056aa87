//! Settings of a PostgreSQL with which a server runs, and keeps less than it promises.

use harmony_store::server::Server;

use super::{Finding, Verdict, finding};

/// Beside those of its pool, a process keeps its lease by a connection of its own, and listens on another one.
const LEASE_AND_LISTENING: i64 = 2;

/// What there is to say of a PostgreSQL that each process has so many connections to for its requests.
pub fn findings(server: &Server, connections: u32) -> [Finding; 3] {
    [room(server, i64::from(connections) + LEASE_AND_LISTENING), durability(server), standbys(server)]
}

fn room(server: &Server, each: i64) -> Finding {
    let Server { version, connections, .. } = server;
    let (verdict, room) = match connections / each {
        0 => (Verdict::Warning, "which is too few for one server".to_owned()),
        1 => (Verdict::Ok, "enough for 1 server".to_owned()),
        servers => (Verdict::Ok, format!("enough for {servers} servers")),
    };
    let detail = format!("PostgreSQL {version} lets {connections} in, {room} with up to {each} each");
    finding("connections", verdict, detail)
}

fn durability(server: &Server) -> Finding {
    let off = [
        (!server.fsync, "fsync is off: a power cut may destroy the database"),
        (!server.full_page_writes, "full_page_writes is off: a power cut may destroy pages of the database"),
        (
            server.synchronous_commit == "off",
            "synchronous_commit is off: a crash loses what was answered last, and a deleted key comes back with it",
        ),
    ];
    let said: Vec<_> = off.into_iter().filter_map(|(is_off, detail)| is_off.then_some(detail)).collect();
    if said.is_empty() {
        let detail = "what is answered is on PostgreSQL's disk, if that keeps what it promises";
        return finding("durability", Verdict::Ok, detail);
    }
    finding("durability", Verdict::Warning, said.join("; "))
}

fn standbys(server: &Server) -> Finding {
    let waits_for = server.synchronous_standbys.as_str();
    let waits = !waits_for.is_empty() && !matches!(server.synchronous_commit.as_str(), "off" | "local");
    let lost = "a fail-over loses what was answered last, and a deleted key comes back with it";
    match (server.standbys, waits) {
        (0, false) => finding("standby", Verdict::Ok, "none follows"),
        (0, true) => {
            let detail = format!("commits wait for {waits_for}, and nobody follows: changes hang");
            finding("standby", Verdict::Warning, detail)
        }
        (_, true) => finding("standby", Verdict::Ok, format!("commits wait for {waits_for}")),
        (some, false) => {
            let detail = format!(
                "{some} follow(s), and no commit waits for one: {lost}; set synchronous_standby_names"
            );
            finding("standby", Verdict::Warning, detail)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well_kept() -> Server {
        Server {
            version: "17.2".to_owned(),
            connections: 97,
            fsync: true,
            full_page_writes: true,
            synchronous_commit: "on".to_owned(),
            synchronous_standbys: String::new(),
            standbys: 0,
        }
    }

    fn said(server: &Server) -> [(Verdict, String); 3] {
        findings(server, 8).map(|found| (found.verdict, found.detail))
    }

    #[test]
    fn a_well_kept_server_is_told_for_how_many_it_has_room() {
        let [room, durability, standby] = said(&well_kept());
        assert_eq!(
            room,
            (Verdict::Ok, "PostgreSQL 17.2 lets 97 in, enough for 9 servers with up to 10 each".to_owned())
        );
        assert_eq!((durability.0, standby), (Verdict::Ok, (Verdict::Ok, "none follows".to_owned())));
        let narrow = |connections| said(&Server { connections, ..well_kept() })[0].0;
        assert_eq!((narrow(10), narrow(9)), (Verdict::Ok, Verdict::Warning));
    }

    #[test]
    fn whatever_loses_answered_changes_is_warned_of() {
        let [_, all, _] = said(&Server {
            fsync: false,
            full_page_writes: false,
            synchronous_commit: "off".to_owned(),
            ..well_kept()
        });
        assert_eq!((all.0, all.1.matches(" is off: ").count()), (Verdict::Warning, 3));
        let [_, local, _] = said(&Server { synchronous_commit: "local".to_owned(), ..well_kept() });
        assert_eq!(local.0, Verdict::Ok);
    }

    #[test]
    fn a_standby_that_no_commit_waits_for_is_warned_of_and_one_that_is_missing_too() {
        let standby = |standbys, names: &str, commit: &str| {
            let server = Server {
                standbys,
                synchronous_standbys: names.to_owned(),
                synchronous_commit: commit.to_owned(),
                ..well_kept()
            };
            let [_, _, standby] = said(&server);
            standby
        };
        assert_eq!(standby(1, "b", "on"), (Verdict::Ok, "commits wait for b".to_owned()));
        assert_eq!(standby(1, "b", "remote_apply").0, Verdict::Ok);
        for (names, commit) in [("", "on"), ("b", "local"), ("b", "off")] {
            let (verdict, detail) = standby(2, names, commit);
            assert_eq!(verdict, Verdict::Warning);
            assert!(detail.starts_with("2 follow(s), and no commit waits for one"), "{detail}");
        }
        let (verdict, detail) = standby(0, "b", "on");
        assert_eq!((verdict, detail.ends_with("changes hang")), (Verdict::Warning, true));
    }
}
