//! The floors of the house: who may use whom, and which crates from outside each room may name.
//!
//! A new dependency is a decision: it is written into this table and into `docs/architecture.md`, or it is not made.

mod manifests;

use crate::tree;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand};
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

struct Room {
    floor: u8,
    name: &'static str,
    /// The workspace's crates it may use, by name without `harmony-`.
    uses: &'static [&'static str],
    /// The crates from outside it may name. Being listed and not used is no fault.
    outside: &'static [&'static str],
}

const HOUSE: &[Room] = &[
    Room {
        floor: 0,
        name: "harmony-key",
        uses: &[],
        outside: &["getrandom", "hex", "sha2", "subtle", "thiserror", "zeroize"],
    },
    Room { floor: 0, name: "harmony-permission", uses: &[], outside: &["thiserror"] },
    // It draws the secret of its table itself: no caller could choose a better one, and a bad one opens it to attack.
    Room { floor: 0, name: "harmony-limit", uses: &[], outside: &["getrandom", "parking_lot", "thiserror"] },
    Room {
        floor: 1,
        name: "harmony-access",
        uses: &["key", "permission"],
        // `shuttle` in the model checker's own build only.
        outside: &["chrono", "dashmap", "futures-util", "parking_lot", "shuttle", "thiserror", "uuid"],
    },
    Room {
        floor: 1,
        name: "harmony-limit-redis",
        uses: &["limit"],
        outside: &["redis", "thiserror", "tokio"],
    },
    Room {
        floor: 2,
        name: "harmony-store",
        uses: &["access", "key", "permission"],
        outside: &[
            "diesel",
            "diesel_migrations",
            "libsqlite3-sys",
            "openssl-sys",
            "pq-sys",
            "r2d2",
            "rustix",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
        ],
    },
    Room {
        floor: 2,
        name: "harmony-actix",
        uses: &["access", "key", "limit", "permission"],
        outside: &[
            "actix-http",
            "actix-web",
            "base64",
            "bytes",
            "futures-util",
            "ipnet",
            "itoa",
            "pin-project-lite",
            "rustix",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
        ],
    },
    Room {
        floor: 3,
        name: "harmony-workspace",
        uses: &["access", "key", "permission", "store"],
        outside: &["argon2", "chrono", "parking_lot", "serde", "serde_json", "thiserror"],
    },
    Room {
        floor: 4,
        name: "harmony-api",
        uses: &["access", "actix", "key", "permission", "store", "workspace"],
        outside: &[
            "actix-web",
            "bytes",
            "futures-util",
            "serde",
            "serde_json",
            "serde_path_to_error",
            "tracing",
            "utoipa",
            "utoipa-swagger-ui",
        ],
    },
    Room {
        floor: 4,
        name: "harmony-console",
        uses: &["access", "actix", "key", "permission", "store", "workspace"],
        outside: &[
            "actix-web",
            "askama",
            "chrono",
            "form_urlencoded",
            "futures-util",
            "plotters",
            "serde_json",
            "thiserror",
            "tokio",
            "tracing",
        ],
    },
    Room {
        floor: 5,
        name: "harmony",
        uses: &[
            "access",
            "actix",
            "api",
            "console",
            "key",
            "limit",
            "limit-redis",
            "permission",
            "store",
            "workspace",
        ],
        outside: &[
            "actix-web",
            "chrono",
            "clap",
            "indicatif",
            "ipnet",
            "itoa",
            "prometheus-client",
            "rustix",
            "serde",
            "serde_json",
            "thiserror",
            "tokio",
            "toml",
            "tracing",
            "tracing-subscriber",
        ],
    },
    Room { floor: 6, name: "harmony-tests", uses: &[], outside: &[] },
];

/// What belongs to some rooms alone, so that an embedder of the others never meets it. A star stands for any ending.
const RESERVED: &[(&str, &[&str])] = &[
    ("sha2", &["harmony-key"]),
    ("hex", &["harmony-key"]),
    ("subtle", &["harmony-key"]),
    ("zeroize", &["harmony-key"]),
    ("getrandom", &["harmony-key", "harmony-limit"]),
    ("dashmap", &["harmony-access"]),
    ("redis", &["harmony-limit-redis"]),
    ("diesel*", &["harmony-store"]),
    ("r2d2", &["harmony-store"]),
    ("libsqlite3-sys", &["harmony-store"]),
    ("pq-sys", &["harmony-store"]),
    ("actix-*", &["harmony-actix", "harmony-api", "harmony-console", "harmony"]),
    ("argon2", &["harmony-workspace"]),
    ("utoipa*", &["harmony-api"]),
    ("ipnet", &["harmony-actix", "harmony"]),
    ("tokio", &["harmony-limit-redis", "harmony-store", "harmony-actix", "harmony-console", "harmony"]),
    ("askama*", &["harmony-console"]),
    ("plotters*", &["harmony-console"]),
    ("clap", &["harmony"]),
    ("indicatif", &["harmony"]),
    ("toml", &["harmony"]),
    ("tracing-subscriber", &["harmony"]),
    ("prometheus-client", &["harmony"]),
];

/// Rooms up to this floor are the doors for embedders, who bring their own framework, database and runtime …
const DOORS_UP_TO_FLOOR: u8 = 1;
/// … so that none of these may be reached from there, however long the way.
const NOT_BEHIND_A_DOOR: &[&str] = &["actix-*", "diesel*", "tokio*", "mio", "r2d2", "redis"];

/// … but for what a room is named after: who takes it has asked for Redis, and for the runtime that its client runs on.
const ASKED_FOR: &[(&str, &[&str])] = &[("harmony-limit-redis", &["redis", "tokio*", "mio"])];

/// Every public item on these floors has its doc comment.
const DOCUMENTED_UP_TO_FLOOR: u8 = 2;

#[test]
fn every_crate_uses_only_what_the_table_grants_it() {
    assert_holds(ungranted(HOUSE, &direct_dependencies(&metadata())));
}

#[test]
fn the_table_points_down_and_respects_what_is_reserved() {
    assert_holds(contradictions(HOUSE, RESERVED));
}

#[test]
fn the_doors_for_embedders_drag_in_no_framework_no_database_and_no_runtime() {
    let edges = resolved_edges(&metadata());
    for room in HOUSE.iter().filter(|room| room.floor <= DOORS_UP_TO_FLOOR) {
        assert_holds(reached(&edges, room.name, &not_behind(room.name)));
    }
}

#[test]
fn no_dependency_brings_back_h2() {
    // actix-web's `http2` asks for a release with an open advisory, RUSTSEC-2026-0258. The lock file knows every platform.
    let lock: toml::Table = toml::from_str(&read("Cargo.lock")).unwrap();
    let packages = lock["package"].as_array().unwrap();
    assert!(
        packages.iter().any(|package| package["name"].as_str() == Some("actix-web")),
        "the wrong lock file"
    );
    assert!(!packages.iter().any(|package| package["name"].as_str() == Some("h2")), "run `cargo tree -i h2`");
}

#[test]
fn the_lower_floors_deny_missing_docs() {
    for room in HOUSE.iter().filter(|room| room.floor <= DOCUMENTED_UP_TO_FLOOR) {
        let library = read(&format!("crates/{}/src/lib.rs", room.name));
        assert!(library.contains("#![deny(missing_docs)]"), "{} does not deny missing_docs", room.name);
    }
}

#[test]
fn the_architecture_page_has_the_same_rooms_on_the_same_floors() {
    // A page that is not there yet cannot contradict the house.
    if let Some(page) = tree::text("docs/architecture.md".as_ref()) {
        assert_holds(page_differences(HOUSE, &page));
    }
}

/// What this room must not reach.
fn not_behind(name: &str) -> Vec<&'static str> {
    let asked = ASKED_FOR.iter().find(|(room, _)| *room == name).map_or(&[][..], |(_, asked)| asked);
    NOT_BEHIND_A_DOOR.iter().copied().filter(|pattern| !asked.contains(pattern)).collect()
}

fn assert_holds(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn read(path: &str) -> String {
    tree::text(path.as_ref()).unwrap_or_else(|| panic!("{path} cannot be read"))
}

/// What Cargo knows, for this machine's platform: what others need need not have been downloaded.
fn metadata() -> Metadata {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let version = Command::new(rustc).arg("-vV").output().expect("rustc, to ask for the platform").stdout;
    let version = String::from_utf8(version).unwrap();
    let host =
        version.lines().find_map(|line| line.strip_prefix("host: ")).expect("rustc -vV names its host");
    let options = ["--locked", "--offline", "--filter-platform", host].map(str::to_owned);
    MetadataCommand::new().current_dir(tree::root()).other_options(options).exec().unwrap()
}

/// For each crate of the workspace the names it depends on. Tests and benchmarks may use what they like.
fn direct_dependencies(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let dependencies = |package: &cargo_metadata::Package| {
        let used = package.dependencies.iter().filter(|used| used.kind != DependencyKind::Development);
        used.map(|used| used.name.clone()).collect()
    };
    metadata
        .workspace_packages()
        .into_iter()
        .map(|package| (package.name.to_string(), dependencies(package)))
        .collect()
}

/// The resolved graph without the edges of tests, by package name.
fn resolved_edges(metadata: &Metadata) -> BTreeMap<String, BTreeSet<String>> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for node in &metadata.resolve.as_ref().expect("a resolved graph").nodes {
        let targets = edges.entry(metadata[&node.id].name.to_string()).or_default();
        let shipped = node
            .deps
            .iter()
            .filter(|edge| edge.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development));
        targets.extend(shipped.map(|edge| metadata[&edge.pkg].name.to_string()));
    }
    edges
}

fn ungranted(house: &[Room], used: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, dependencies) in used {
        let Some(room) = house.iter().find(|room| room.name == name) else {
            complaints.push(format!("{name}: is not in the table"));
            continue;
        };
        let granted = |dependency: &str| match dependency.strip_prefix("harmony-") {
            Some(inside) => room.uses.contains(&inside),
            None => room.outside.contains(&dependency),
        };
        let wrong = dependencies.iter().filter(|dependency| !granted(dependency));
        complaints
            .extend(wrong.map(|dependency| format!("{name}: the table does not grant it {dependency}")));
    }
    let missing = house.iter().filter(|room| !used.contains_key(room.name));
    complaints.extend(missing.map(|room| format!("{}: is in the table and not in the workspace", room.name)));
    complaints
}

fn contradictions(house: &[Room], reserved: &[(&str, &[&str])]) -> Vec<String> {
    let mut complaints = Vec::new();
    for room in house {
        for used in room.uses {
            let below =
                house.iter().any(|other| other.name == format!("harmony-{used}") && other.floor < room.floor);
            if !below {
                complaints.push(format!("{}: {used} is not on a floor below", room.name));
            }
        }
        for outside in room.outside {
            let kept_from = |(pattern, rooms): &&(&str, &[&str])| {
                matches(pattern, outside) && !rooms.contains(&room.name)
            };
            let kept = reserved.iter().find(kept_from);
            complaints
                .extend(kept.map(|(_, rooms)| format!("{}: {outside} is reserved to {rooms:?}", room.name)));
        }
    }
    complaints
}

/// The ways from a crate to what it must not reach, each as a chain of names.
fn reached(edges: &BTreeMap<String, BTreeSet<String>>, from: &str, forbidden: &[&str]) -> Vec<String> {
    assert!(edges.contains_key(from), "{from} is not in the graph");
    let mut ways = vec![vec![from]];
    let mut seen = BTreeSet::from([from]);
    let mut complaints = Vec::new();
    while let Some(way) = ways.pop() {
        let next = way.last().and_then(|last| edges.get(*last)).into_iter().flatten();
        for name in next.filter(|name| seen.insert(name)) {
            let longer = [way.as_slice(), &[name.as_str()]].concat();
            if forbidden.iter().any(|pattern| matches(pattern, name)) {
                complaints.push(longer.join(" -> "));
            }
            ways.push(longer);
        }
    }
    complaints
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

/// Compares with the rows ``| floor | `crate` | …`` of the page; `bin/harmony` stands for `harmony`.
fn page_differences(house: &[Room], page: &str) -> Vec<String> {
    let row = |line: &str| {
        let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
        let floor = cells.next()?.parse::<u8>().ok();
        let name =
            cells.next()?.split('`').find(|part| part.starts_with("harmony") || *part == "bin/harmony")?;
        Some((name.trim_start_matches("bin/").to_owned(), floor))
    };
    let page: BTreeMap<String, Option<u8>> = page.lines().filter_map(row).collect();
    let strangers = page.keys().filter(|name| !house.iter().any(|room| room.name == *name));
    let mut complaints: Vec<String> =
        strangers.map(|name| format!("docs/architecture.md: {name} is not in the workspace")).collect();
    for Room { name, floor, .. } in house {
        match page.get(*name) {
            None => complaints.push(format!("docs/architecture.md: {name} is missing from the table")),
            Some(Some(written)) if written != floor => {
                complaints.push(format!("docs/architecture.md: {name} is on floor {floor}, not {written}"));
            }
            Some(_) => {}
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: &[Room] = &[
        Room { floor: 0, name: "harmony-low", uses: &[], outside: &["serde"] },
        Room { floor: 1, name: "harmony-high", uses: &["low"], outside: &["tower"] },
    ];

    fn edges(list: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        list.iter().map(|(from, to)| ((*from).to_owned(), names(to))).collect()
    }

    #[test]
    fn a_dependency_that_the_table_does_not_grant_is_found() {
        let granted = edges(&[("harmony-low", &[]), ("harmony-high", &["harmony-low", "tower"])]);
        assert_eq!(ungranted(SAMPLE, &granted), [""; 0]);
        let wrong = edges(&[("harmony-low", &["harmony-high", "tower"]), ("harmony-new", &[])]);
        let complaints = [
            "harmony-low: the table does not grant it harmony-high",
            "harmony-low: the table does not grant it tower",
            "harmony-new: is not in the table",
            "harmony-high: is in the table and not in the workspace",
        ];
        assert_eq!(ungranted(SAMPLE, &wrong), complaints);
    }

    #[test]
    fn a_table_that_points_up_or_sideways_or_names_what_is_reserved_is_found() {
        assert_eq!(contradictions(SAMPLE, &[("tower", &["harmony-high"])]), [""; 0]);
        let sideways = [
            Room { floor: 1, name: "harmony-one", uses: &["two"], outside: &["tower-http"] },
            Room { floor: 1, name: "harmony-two", uses: &[], outside: &["serde"] },
        ];
        assert_eq!(
            contradictions(&sideways, &[("tower*", &["harmony-two"])]),
            [
                "harmony-one: two is not on a floor below",
                "harmony-one: tower-http is reserved to [\"harmony-two\"]"
            ]
        );
    }

    #[test]
    fn a_forbidden_crate_is_found_at_the_end_of_a_long_way() {
        let edges = edges(&[
            ("a", &["b", "c"]),
            ("b", &["a"]),
            ("c", &["d"]),
            ("d", &["tokio-util"]),
            ("e", &["tokio"]),
        ]);
        assert_eq!(reached(&edges, "a", &["tokio*"]), ["a -> c -> d -> tokio-util"]);
        assert_eq!(reached(&edges, "b", &["tokio"]), [""; 0]);
    }

    #[test]
    fn an_architecture_page_that_differs_is_found() {
        let same = "| floor | crate |\n|---|---|\n| 0 | `harmony-low` | x |\n| 1 | `harmony-high` | `harmony-low` |\n";
        assert_eq!(page_differences(SAMPLE, same), [""; 0]);
        let other = "| 1 | `harmony-low` |\n| – | `harmony-gone` |\n";
        let complaints = [
            "docs/architecture.md: harmony-gone is not in the workspace",
            "docs/architecture.md: harmony-low is on floor 0, not 1",
            "docs/architecture.md: harmony-high is missing from the table",
        ];
        assert_eq!(page_differences(SAMPLE, other), complaints);
    }
}
