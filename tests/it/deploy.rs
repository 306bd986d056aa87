//! The files of `docs/deploy` name nothing that the binary does not know, and agree with each other.

use std::{
    collections::BTreeSet,
    fs,
    net::Ipv4Addr,
    process::{Command, Output},
};

use serde_json::Value;

use crate::{server::Place, tree};

const FILES: [&str; 5] =
    ["Caddyfile", "Dockerfile", "Dockerfile.dockerignore", "compose.yaml", "harmony.service"];
/// Commands for the server of the unit begin so.
const AT_THE_UNIT: &str = "cd /etc/harmony && ";
/// Where the containers find the URL of the database.
const DATABASE_URL: &str = "/run/secrets/database-url";

fn file(name: &str) -> String {
    tree::text(&tree::root().join("docs/deploy").join(name)).unwrap_or_else(|| panic!("no {name}"))
}

/// What follows the one place where `before` is.
fn after<'t>(text: &'t str, before: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before:?}"));
    assert!(!rest.contains(before), "{before:?} is there twice");
    rest.lines().next().unwrap().trim()
}

/// The binary's verdict on these variables.
fn config(variables: &[(String, String)]) -> Output {
    let place = Place::sqlite();
    let mut command = place.bare_command(&["config", "--json"]);
    command.envs(variables.iter().map(|(name, value)| (name, value))).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn understood(variables: &[(String, String)]) -> Value {
    let output = config(variables);
    assert!(output.status.success(), "{variables:?}: {}", said(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// `NAME: value` of a YAML file, `NAME=value` of the others.
fn variables(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.trim_start_matches(['#', ' ']);
        let line = line.strip_prefix("ENV ").or(line.strip_prefix("Environment=")).unwrap_or(line);
        if let Some((name, value)) = line.split_once(['=', ':'])
            && name.starts_with("HARMONY_")
        {
            found.push((name.to_owned(), value.trim().trim_matches('"').to_owned()));
        }
    }
    found
}

/// The variables of a container: those of the image, and those of the compose file over them.
fn of_a_node() -> Vec<(String, String)> {
    let of_compose = file("compose.yaml").replace("${DOMAIN:-localhost}", "localhost");
    let mut all = variables(&file("Dockerfile"));
    all.extend(variables(&of_compose));
    all
}

/// A command line in words, as a shell would cut it, without substitutions.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut quoted) = (vec![String::new()], false);
    for letter in line.split(" #").next().unwrap().chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).collect()
}

/// Every `harmony …` that somebody is told to run, without that word.
fn commands() -> Vec<Vec<String>> {
    let unit = file("harmony.service");
    let mut lines = vec![after(&unit, "\nExecStart=/usr/local/bin/harmony ").to_owned()];
    let texts = FILES.map(file).into_iter().chain(tree::text(&tree::root().join("docs/operating.md")));
    for text in texts {
        for line in text.lines() {
            let line = line.trim_start_matches(['#', ' ']);
            let line = line.strip_prefix(AT_THE_UNIT).unwrap_or(line);
            let told = line
                .strip_prefix("harmony ")
                .or(line.strip_prefix("sudo -u harmony harmony "))
                .or(line.strip_prefix("docker compose exec node1 harmony "))
                .or(line
                    .strip_prefix("docker compose run ")
                    .and_then(|line| Some(line.split_once(" node1 ")?.1)));
            // Prose begins with the name of the program as well, and never with one of its commands.
            lines.extend(told.filter(|told| told.starts_with('-') || is_command(told)).map(str::to_owned));
        }
    }
    lines.iter().map(|line| words(line.split([';', '|', '<', '\\']).next().unwrap())).collect()
}

fn is_command(line: &str) -> bool {
    ["serve", "init", "key", "user", "role", "copy", "doctor", "config", "openapi"]
        .contains(&line.split(' ').next().unwrap())
}

#[test]
fn every_file_is_looked_at() {
    let there: BTreeSet<String> = fs::read_dir(tree::root().join("docs/deploy"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "secrets")
        .collect();
    assert_eq!(there, FILES.map(str::to_owned).into());
}

#[test]
fn every_variable_is_one_that_the_binary_reads() {
    let mut names = BTreeSet::new();
    for text in FILES.map(file) {
        let words = text.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
        names.extend(words.filter(|word| word.starts_with("HARMONY_")).map(str::to_owned));
    }
    assert!(names.len() >= 8, "{names:?}");
    let unknown =
        |name: &str| said(&config(&[(name.to_owned(), String::new())])).contains("there is no such variable");
    assert!(unknown("HARMONY_LISTNE"));
    for name in names {
        assert!(!unknown(&name), "{name}");
    }
}

#[test]
fn every_command_is_one_that_the_binary_knows() {
    let (place, commands) = (Place::sqlite(), commands());
    assert!(commands.len() >= 6, "{commands:?}");
    // Whoever comes as far as to miss this file has understood the whole line, and does nothing.
    let parses = |line: &[String]| {
        let line: Vec<&str> = line.iter().map(String::as_str).chain(["--config", "missing.toml"]).collect();
        said(&place.bare_command(&line).output().unwrap()).contains("config: cannot read missing.toml: ")
    };
    for wrong in ["key create --nmae first --owner ann@example.com", "key create --name first", "sevre"] {
        assert!(!parses(&words(wrong)), "{wrong}");
    }
    for command in commands {
        assert!(parses(&command), "{command:?}");
    }
}

#[test]
fn a_container_reads_its_database_from_the_secret_and_believes_the_proxy_alone() {
    let (compose, folder) = (file("compose.yaml"), tempfile::tempdir().unwrap());
    let told = after(&compose, "#   echo \"").split('"').next().unwrap();
    let url = folder.path().join("database-url");
    fs::write(&url, told.replace("$(cat secrets/postgres-password)", "5e5a") + "\n").unwrap();
    let mut variables = of_a_node();
    let secret = variables.iter_mut().find(|(_, value)| value == DATABASE_URL).unwrap();
    secret.1 = url.display().to_string();
    let settings = understood(&variables);
    assert_eq!(settings["database_url"], "postgres://harmony@postgres/harmony");
    assert_eq!(settings["redis_url"], "redis://redis");
    assert_eq!(settings["public_url"], "https://localhost");
    let proxy = after(&compose, "ipv4_address: ");
    assert_eq!(settings["trusted_proxies"], serde_json::json!([proxy]));
    for service in ["postgres", "redis", "proxy"] {
        assert!(compose.contains(&format!("\n  {service}:\n")), "{service}");
    }
    assert_eq!(after(&compose, "POSTGRES_USER: "), "harmony");
    assert_eq!(after(&compose, "POSTGRES_DB: "), "harmony");
}

#[test]
fn the_address_of_the_proxy_is_free_and_in_its_network() {
    let compose = file("compose.yaml");
    let range = |text: &str| {
        let (address, bits) = text.split_once('/').unwrap();
        let (first, bits): (Ipv4Addr, u32) = (address.parse().unwrap(), bits.parse().unwrap());
        let size = 1_u32 << (32 - bits);
        assert_eq!(u32::from(first) % size, 0, "{text} has bits behind its prefix");
        u32::from(first)..u32::from(first) + size
    };
    let (subnet, given) = (range(after(&compose, "- subnet: ")), range(after(&compose, "ip_range: ")));
    let proxy: u32 = after(&compose, "ipv4_address: ").parse::<Ipv4Addr>().unwrap().into();
    assert!(subnet.contains(&proxy) && !given.contains(&proxy));
    // The first address is the gateway's.
    assert!(proxy > subnet.start + 1);
    assert!(subnet.contains(&given.start) && given.end <= subnet.end);
}

#[test]
fn the_proxy_knows_every_node_by_its_port_and_asks_whether_it_is_ready() {
    let (compose, caddy) = (file("compose.yaml"), file("Caddyfile"));
    let settings = understood(&variables(&file("Dockerfile")));
    let (_, port) = settings["listen"].as_str().unwrap().rsplit_once(':').unwrap();
    let nodes: Vec<String> =
        compose.lines().filter_map(|line| line.trim().strip_suffix(": *node")).map(str::to_owned).collect();
    let upstreams: Vec<String> = nodes.iter().map(|node| format!("{node}:{port}")).collect();
    assert_eq!(nodes.len(), 3);
    assert_eq!(after(&caddy, "reverse_proxy "), format!("{} {{", upstreams.join(" ")));
    assert_eq!(after(&caddy, "health_uri "), "/readyz");
    assert!(caddy.starts_with('#') && caddy.contains("\n{$DOMAIN:localhost} {\n"));
}

#[test]
fn what_the_files_point_to_is_there_or_is_told_to_be_made() {
    let compose = file("compose.yaml");
    let deploy = tree::root().join("docs/deploy");
    assert!(deploy.join("Caddyfile").is_file() && compose.contains("./Caddyfile:/etc/caddy/Caddyfile:ro"));
    let made: BTreeSet<&str> = compose.split("> secrets/").skip(1).map(word).collect();
    let named: BTreeSet<&str> = compose.split("./secrets/").skip(1).map(word).collect();
    assert_eq!(made, named);
    let mounted: BTreeSet<&str> = compose.split("/run/secrets/").skip(1).map(word).collect();
    assert_eq!(mounted, named);
    assert!(is_ignored("docs/deploy/secrets/database-url"), "secrets might be committed");
    assert!(!is_ignored("docs/deploy/compose.yaml"));
    assert!(file("Dockerfile.dockerignore").lines().any(|line| line == "docs/deploy/secrets"));
}

/// Whether git leaves this file out; asked in a folder of its own, since the sources may lie in no repository.
fn is_ignored(path: &str) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let git = |arguments: &[&str]| {
        Command::new("git").args(arguments).current_dir(folder.path()).output().unwrap().status.code()
    };
    assert_eq!(git(&["init", "--quiet"]), Some(0));
    fs::copy(tree::root().join(".gitignore"), folder.path().join(".gitignore")).unwrap();
    match git(&["check-ignore", "--quiet", path]) {
        Some(0) => true,
        Some(1) => false,
        other => panic!("git check-ignore ended with {other:?}"),
    }
}

#[test]
fn the_image_is_built_once_and_under_the_name_that_the_services_start() {
    let (compose, deploy) = (file("compose.yaml"), tree::root().join("docs/deploy"));
    let builds: Vec<&str> = compose
        .lines()
        .filter_map(|line| line.trim_start_matches(['#', ' ']).strip_prefix("docker build "))
        .collect();
    // Before the first start, and before an upgrade.
    assert_eq!(builds.len(), 2);
    for build in builds {
        let ["-f", dockerfile, "-t", name, context] = build.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{build}")
        };
        assert!(deploy.join(dockerfile).is_file());
        assert_eq!(deploy.join(context).canonicalize().unwrap(), tree::root().canonicalize().unwrap());
        assert!(compose.contains(&format!("\n  image: {name}\n  pull_policy: never\n")));
    }
    assert!(!compose.contains("build:"), "each service would build it");
}

#[test]
fn an_upgrade_ends_at_the_node_that_does_not_become_ready() {
    let compose = file("compose.yaml");
    let told = format!("for node in {}", after(&compose, "#   for node in "));
    let upgraded = |fails: &str| {
        // The last word of the command is the node.
        let docker = format!("docker() {{ echo \"${{@: -1}}\"; [ \"${{@: -1}}\" != \"{fails}\" ]; }}");
        let output = Command::new("bash").args(["-c", &format!("{docker}; {told}")]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(upgraded("none"), "node1\nnode2\nnode3\n");
    assert_eq!(upgraded("node2"), "node1\nnode2\n");
}

#[test]
fn the_proxy_writes_neither_headers_nor_addresses_of_requests_into_its_log() {
    let caddy = file("Caddyfile");
    // The options of all sites are the first block.
    let lines: Vec<&str> = caddy.lines().filter(|line| !line.starts_with('#')).map(str::trim).collect();
    let all = lines.join(" ");
    let told =
        "{ log { format filter { wrap json fields { request>headers delete request>uri delete } } } } ";
    assert!(all.trim_start().starts_with(told), "{all}");
    assert_eq!(caddy.matches("log {").count(), 1);
}

/// What a file's name may be made of, from the beginning.
fn word(text: &str) -> &str {
    text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-').next().unwrap()
}

#[test]
fn the_image_is_of_our_rust_and_runs_as_nobody_in_particular() {
    let dockerfile = file("Dockerfile");
    let manifest: toml::Table = tree::text(&tree::root().join("Cargo.toml")).unwrap().parse().unwrap();
    let rust = manifest["workspace"]["package"]["rust-version"].as_str().unwrap();
    let (image, _) = after(&dockerfile, "FROM rust:").split_once(' ').unwrap();
    let debian = image.strip_prefix(&format!("{rust}-")).unwrap();
    // The same C library in both.
    assert_eq!(after(&dockerfile, "FROM debian:"), format!("{debian}-slim"));
    let (user, _) = after(&dockerfile, "\nUSER ").split_once(':').unwrap();
    assert!(user.parse::<u32>().unwrap() > 0);
    assert!(dockerfile.contains(&format!("-o {user} ")), "the folder of the data is somebody else's");
    let settings = understood(&variables(&dockerfile));
    assert_eq!(settings["data_dir"], after(&dockerfile, "\nVOLUME "));
    assert_eq!(settings["listen"], format!("0.0.0.0:{}", after(&dockerfile, "\nEXPOSE ")));
    let start: Vec<Value> = ["\nENTRYPOINT ", "\nCMD "]
        .into_iter()
        .flat_map(|what| serde_json::from_str::<Vec<Value>>(after(&dockerfile, what)).unwrap())
        .collect();
    assert_eq!(start, ["harmony", "serve"]);
}

#[test]
fn the_health_check_of_the_image_tells_a_ready_server_from_none() {
    let dockerfile = file("Dockerfile");
    let check: Vec<String> = serde_json::from_str(after(&dockerfile, "    CMD ")).unwrap();
    let port = after(&dockerfile, "\nEXPOSE ");
    let healthy = |at: &str| {
        let (_, other) = at.rsplit_once(':').unwrap();
        let command: Vec<String> =
            check.iter().map(|word| word.replace(&format!("/{port}"), &format!("/{other}"))).collect();
        assert_ne!(command, check);
        Command::new(&command[0]).args(&command[1..]).output().unwrap().status.success()
    };
    let (place, address);
    {
        place = Place::postgres();
        let server = place.serve();
        address = server.address.clone();
        assert!(healthy(&address));
        place.reach_database(false);
        crate::server::eventually("it is not ready", || (!healthy(&address)).then_some(()));
    }
    assert!(!healthy(&address));
}

#[test]
fn the_unit_keeps_its_data_where_systemd_lets_it() {
    let unit = file("harmony.service");
    let folder = after(&unit, "\nStateDirectory=");
    let settings = understood(&variables(unit.split("[Unit]").nth(1).unwrap()));
    assert_eq!(settings["data_dir"], format!("/var/lib/{folder}"));
    // What a wrong configuration ends with.
    let wrong = config(&[("HARMONY_LISTEN".to_owned(), "nowhere".to_owned())]).status.code().unwrap();
    assert_eq!(after(&unit, "\nRestartPreventExitStatus="), wrong.to_string());
    let credential = after(&unit, "LoadCredential=").split(':').next().unwrap();
    assert!(unit.contains(&format!("HARMONY_DATABASE_URL_FILE=%d/{credential}\n")));
}

#[test]
fn commands_for_the_unit_read_its_configuration_and_work_on_its_database() {
    let unit = file("harmony.service");
    let told: Vec<&str> =
        unit.lines().filter_map(|line| line.strip_prefix("#   ")?.strip_prefix(AT_THE_UNIT)).collect();
    let [sqlite, postgres] = told[..] else { panic!("{told:?}") };
    let place = Place::postgres();
    place.init();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let (configuration, data) = (at("etc"), at("lib"));
    fs::create_dir(&configuration).unwrap();
    fs::write(configuration.join("database-url"), place.database_url()).unwrap();
    // As it is told, in these folders instead of the machine's.
    let run = |line: &str| {
        let line = line.strip_prefix("sudo -u harmony ").unwrap_or(line).strip_prefix("harmony ").unwrap();
        let line = line
            .replace("/etc/harmony", configuration.to_str().unwrap())
            .replace("/var/lib/harmony", data.to_str().unwrap());
        let mut command = place.bare_command(&line.split(' ').collect::<Vec<_>>());
        command.current_dir(&configuration).output().unwrap()
    };
    let missing = format!("there is no database {}", data.join("harmony.sqlite").display());
    assert!(said(&run(sqlite)).contains(&missing), "it works on another database than the unit");
    assert!(run(postgres).status.success(), "it works on another database than the unit");
    assert_eq!(fs::read_dir(&configuration).unwrap().count(), 1);
    fs::write(configuration.join("harmony.toml"), "listne = 1").unwrap();
    for line in [sqlite, postgres] {
        assert!(said(&run(line)).contains("`listne`"), "{line}");
    }
}
