//! Every member's `Cargo.toml`: versions and lints have one place, the workspace's.

use crate::tree;
use std::path::Path;
use toml::{Table, Value};

#[test]
fn every_member_takes_versions_and_lints_from_the_workspace_and_is_called_like_its_folder() {
    let manifests: Vec<_> = tree::files()
        .into_iter()
        .filter(|path| {
            path.file_name().is_some_and(|name| name == "Cargo.toml") && path.components().count() > 1
        })
        .collect();
    assert!(manifests.len() >= 10, "only {} members were found", manifests.len());
    let complaints: Vec<String> = manifests
        .iter()
        .flat_map(|path| wrong_entries(path, &toml::from_str(&tree::text(path).unwrap()).unwrap()))
        .collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn wrong_entries(path: &Path, manifest: &Table) -> Vec<String> {
    let mut complaints: Vec<String> = dependency_tables(manifest)
        .into_iter()
        .flatten()
        .filter(|(_, dependency)| !is_inherited(dependency))
        .map(|(name, _)| format!("{}: {name} does not take its version from the workspace", path.display()))
        .collect();
    if !manifest.get("lints").is_some_and(is_inherited) {
        complaints.push(format!("{}: does not inherit the workspace's lints", path.display()));
    }
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
    let folder = path.parent().and_then(Path::file_name).and_then(|folder| folder.to_str());
    // `tests` is the one folder whose name the house gives and no crate can have.
    if name != folder && (folder, name) != (Some("tests"), Some("harmony-tests")) {
        complaints.push(format!("{}: the crate's name is not its folder's", path.display()));
    }
    complaints
}

fn is_inherited(entry: &Value) -> bool {
    entry.get("workspace").and_then(Value::as_bool) == Some(true)
}

/// The tables of dependencies, those for one platform as well.
fn dependency_tables(manifest: &Table) -> Vec<&Table> {
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let places = platforms.filter_map(Value::as_table).chain([manifest]);
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    places.flat_map(|place| kinds.iter().filter_map(|kind| place.get(*kind)?.as_table())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(path: &str, manifest: &str) -> Vec<String> {
        wrong_entries(Path::new(path), &toml::from_str(manifest).unwrap())
    }

    #[test]
    fn a_version_of_its_own_is_found_wherever_it_stands() {
        let member = |tables: &str| format!("[package]\nname = \"a\"\n[lints]\nworkspace = true\n{tables}");
        let inherited = "[dependencies]\nx.workspace = true\n[dev-dependencies]\ny = { workspace = true, features = [\"z\"] }";
        assert_eq!(complaints("crates/a/Cargo.toml", &member(inherited)), [""; 0]);
        for own in [
            "[dependencies]\nx = \"1\"",
            "[dev-dependencies]\nx = { version = \"1\" }",
            "[build-dependencies]\nx = { path = \"elsewhere\" }",
            "[target.'cfg(unix)'.dependencies]\nx = { git = \"elsewhere\" }",
        ] {
            let complaint = "crates/a/Cargo.toml: x does not take its version from the workspace";
            assert_eq!(complaints("crates/a/Cargo.toml", &member(own)), [complaint], "{own}");
        }
    }

    #[test]
    fn missing_lints_and_another_name_are_found() {
        assert_eq!(
            complaints("crates/a/Cargo.toml", "[package]\nname = \"b\"\n[lints]\nworkspace = false"),
            [
                "crates/a/Cargo.toml: does not inherit the workspace's lints",
                "crates/a/Cargo.toml: the crate's name is not its folder's"
            ]
        );
        let tests = |name: &str| format!("[package]\nname = \"{name}\"\n[lints]\nworkspace = true");
        assert_eq!(complaints("tests/Cargo.toml", &tests("harmony-tests")), [""; 0]);
        assert_eq!(complaints("tests/Cargo.toml", &tests("other")).len(), 1);
    }
}
