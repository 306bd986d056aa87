//! What the commands say of themselves, and how they refuse.

use serde_json::Value;

use crate::server::Place;

/// Every command with the texts of its `--help`, as the binary tells of them.
fn helps(place: &Place, words: &[&str]) -> Vec<(String, String)> {
    let output = place.bare_command(&[words, &["--help"]].concat()).output().unwrap();
    assert!(output.status.success(), "{words:?}");
    let help = String::from_utf8(output.stdout).unwrap();
    let commands = help.split("\nCommands:\n").nth(1).unwrap_or_default();
    let names: Vec<String> = commands
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    let inner = names.iter().flat_map(|name| helps(place, &[words, &[name.as_str()]].concat()));
    let inner: Vec<_> = inner.collect();
    [(words.join(" "), help)].into_iter().chain(inner).collect()
}

#[test]
fn every_example_can_be_pasted_into_a_shell() {
    let place = Place::sqlite();
    place.init();
    let helps = helps(&place, &[]);
    assert!(helps.len() > 20, "{}", helps.len());
    for (command, help) in helps.iter().filter(|(command, _)| !command.is_empty()) {
        let example = help.split("\nExample:\n").nth(1).unwrap_or_else(|| panic!("{command} shows none"));
        let checked = std::process::Command::new("bash").args(["-n", "-c", example]).output().unwrap();
        assert!(checked.status.success(), "{example}{}", String::from_utf8_lossy(&checked.stderr));
        assert!(example.is_ascii() && !example.contains("\n\n"), "{example}");
        // These two would run on, or read what is not there.
        if ["serve", "copy"].contains(&command.as_str()) {
            continue;
        }
        let binary = harmony_tests::harmony_binary();
        let script = format!("harmony() {{ '{}' \"$@\"; }}\n{example}", binary.display());
        let mut shell = std::process::Command::new("bash");
        let folder = place.data().with_file_name(command.replace(' ', "-"));
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("password.txt"), "correct horse battery").unwrap();
        std::fs::write(folder.join("key.txt"), "none").unwrap();
        shell.args(["-c", &script]).current_dir(&folder).env("HARMONY_DATA_DIR", place.data());
        let output = shell.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 1)), "{example}{said}");
    }
}

#[test]
fn a_wrong_entry_is_refused_by_config_as_by_serve_with_what_it_may_be() {
    let place = Place::sqlite();
    let refused = |arguments: &[&str], variable: Option<(&str, &str)>, parts: &[&str]| {
        for command in ["config", "serve"] {
            let mut run = place.command(&[&[command], arguments].concat());
            let output = run.envs(variable).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{command} {arguments:?}: {said}");
            for part in parts {
                assert!(said.contains(part), "{command} {arguments:?} {variable:?}: {said}");
            }
            assert!(output.stdout.is_empty());
        }
    };
    refused(&["--rate-limit-requests", "0"], None, &["rate_limit_requests: 0 is not in 1 to 1048575"]);
    refused(&["--rate-limit-window-secs", "0"], None, &["rate_limit_window_secs: 0 is not in 1 to 86400"]);
    refused(&["--trusted-proxies", "10.0.0.1/8"], None, &["trusted_proxies"]);
    refused(&[], Some(("HARMONY_LISTEN", "bogus")), &["HARMONY_LISTEN", "bogus", "127.0.0.1:8080"]);
    refused(
        &[],
        Some(("HARMONY_RATE_LIMIT_REQUESTS", "-1")),
        &["HARMONY_RATE_LIMIT_REQUESTS", "1 to 1048575"],
    );
    refused(&[], Some(("HARMONY_LOG", "harmony=bogus,,=")), &["HARMONY_LOG: `harmony=bogus,,=`"]);
    let file = place.data().with_file_name("harmony.toml");
    std::fs::write(&file, "database_url = 'sqlite:a'\ndatabase_url_file = 'b'").unwrap();
    refused(&[], None, &["database_url_file: it cannot be used with database_url"]);
}

#[test]
fn a_database_on_another_machine_in_plain_text_is_wrong_usage_to_both() {
    let place = Place::sqlite();
    for command in ["config", "serve"] {
        let url = "postgres://ann:sesame@192.0.2.1/harmony";
        let output = place.command(&[command, "--database-url", url]).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{command}: {said}");
        assert!(said.contains("database_url") && said.contains("database_allow_plaintext"), "{said}");
        assert!(!said.contains("sesame"), "{said}");
    }
}

#[test]
fn a_mistyped_data_folder_is_refused_and_not_made() {
    let place = Place::sqlite();
    for arguments in [["key", "list"], ["user", "list"], ["role", "list"]] {
        let output = place.command(&arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("there is no database"), "{said}");
        assert!(!place.data().exists());
    }
}

#[test]
fn with_json_an_error_is_json_as_well() {
    let place = Place::sqlite();
    let error = |arguments: &[&str], code: i32| {
        let output = place.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}");
        let said: Value = serde_json::from_slice(&output.stderr).unwrap();
        said["error"].as_str().unwrap().to_owned()
    };
    assert!(error(&["key", "list", "--json"], 1).contains("there is no database"));
    assert!(error(&["config", "--json", "--rate-limit-requests", "0"], 2).contains("rate_limit_requests"));
    assert!(error(&["config", "--json", "--nonsense"], 2).contains("--nonsense"));
    assert!(error(&["config", "--json", "--listen", "x"], 2).contains("127.0.0.1:8080"));
}
