//! The rules of tidiness that a machine can hold. Each takes what it judges as an argument and returns its complaints, so
//! that the tests at the end can show it failing.

mod scan;

use crate::tree;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const MOST_LINES_OF_A_FILE: usize = 600;
const MOST_LINES_OF_A_FUNCTION: usize = 70;
/// Names that say nothing and therefore take in everything.
const EMPTY_NAMES: [&str; 4] = ["utils", "common", "helpers", "misc"];
/// What is put off stays put off.
const PUT_OFF: [&str; 3] = ["todo!", "unimplemented!", "#[ignore"];
/// What lies outside the repository is not there for those who clone it. In two parts, so that this file passes.
const OUTSIDE: [&str; 3] = [concat!("..", "/shared"), concat!("/work", "/main"), concat!("/work", "/shared")];
const TOP_LEVEL: [&str; 10] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "bin",
    "crates",
    "docs",
    "justfile",
    "migrations",
    "tests",
];

#[test]
fn no_file_is_too_long() {
    assert_tidy(rust_files().flat_map(|(path, source)| long_file(&path, &source)));
}

#[test]
fn no_function_is_too_long() {
    assert_tidy(rust_files().flat_map(|(path, source)| long_functions(&path, &source)));
}

#[test]
fn no_crate_and_no_module_has_a_name_that_says_nothing() {
    assert_tidy(rust_files().flat_map(|(path, source)| empty_names(&path, &source)));
}

#[test]
fn no_lint_is_silenced_without_a_reason() {
    assert_tidy(rust_files().flat_map(|(path, source)| silenced_lints(&path, &source)));
}

#[test]
fn nothing_is_put_off() {
    assert_tidy(rust_files().flat_map(|(path, source)| put_off(&path, &source)));
}

#[test]
fn no_file_names_what_lies_outside_the_repository() {
    let texts = tree::files().into_iter().filter_map(|path| Some((tree::text(&path)?, path)));
    assert_tidy(texts.flat_map(|(text, path)| outside_paths(&path, &text)));
}

#[test]
fn the_top_level_shows_nothing_but_what_the_house_names() {
    assert_tidy(strangers_at_the_top(&tree::files()));
}

#[test]
fn both_databases_have_the_same_migrations_each_with_its_way_back() {
    let files = tree::files();
    assert!(files.iter().any(|path| path.starts_with("migrations/sqlite")), "there are no migrations");
    assert_tidy(uneven_migrations(&files));
}

fn assert_tidy(complaints: impl IntoIterator<Item = String>) {
    let complaints: Vec<String> = complaints.into_iter().collect();
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

fn rust_files() -> impl Iterator<Item = (PathBuf, String)> {
    let files = tree::files();
    assert!(files.iter().any(|path| path.ends_with("tests/it/tidy.rs")), "git lists not even this file");
    let rooms = ["crates", "bin", "tests"];
    files
        .into_iter()
        .filter(move |path| rooms.iter().any(|room| path.starts_with(room)))
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| tree::text(&path).map(|source| (path, source)))
}

fn long_file(path: &Path, source: &str) -> Vec<String> {
    let lines = scan::lines_without_tests(&scan::code(source));
    let complaint = format!("{}: {lines} lines, {MOST_LINES_OF_A_FILE} are the wall", path.display());
    (lines > MOST_LINES_OF_A_FILE).then_some(complaint).into_iter().collect()
}

fn long_functions(path: &Path, source: &str) -> Vec<String> {
    scan::functions(&scan::code(source))
        .into_iter()
        .filter(|function| function.lines > MOST_LINES_OF_A_FUNCTION)
        .map(|scan::Function { name, line, lines }| {
            format!(
                "{}:{line}: {name} has {lines} lines, {MOST_LINES_OF_A_FUNCTION} are the wall",
                path.display()
            )
        })
        .collect()
}

fn empty_names(path: &Path, source: &str) -> Vec<String> {
    let mut names: Vec<String> = scan::modules(&scan::code(source));
    names.extend(path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()));
    names
        .iter()
        .filter(|name| EMPTY_NAMES.contains(&name.trim_start_matches("harmony-")))
        .map(|name| format!("{}: `{name}` says nothing", path.display()))
        .collect()
}

fn silenced_lints(path: &Path, source: &str) -> Vec<String> {
    let silences = |line: &str| {
        line.contains("#[allow(")
            || line.contains("#![allow(")
            || (line.contains("cfg_attr(") && line.contains(" allow("))
    };
    lines_of_code(path, source, silences, "use #[expect(…, reason = \"…\")]")
}

fn put_off(path: &Path, source: &str) -> Vec<String> {
    lines_of_code(
        path,
        source,
        |line| PUT_OFF.iter().any(|word| line.contains(word)),
        "do it or leave it out",
    )
}

fn lines_of_code(path: &Path, source: &str, is_wrong: impl Fn(&str) -> bool, advice: &str) -> Vec<String> {
    let code = scan::code(source);
    let wrong = code.lines().enumerate().filter(|(_, line)| is_wrong(line));
    wrong
        .map(|(index, line)| format!("{}:{}: {}: {advice}", path.display(), index + 1, line.trim()))
        .collect()
}

fn outside_paths(path: &Path, text: &str) -> Vec<String> {
    let named = OUTSIDE.iter().filter(|outside| text.contains(**outside));
    named.map(|outside| format!("{}: names {outside}", path.display())).collect()
}

fn strangers_at_the_top(files: &[PathBuf]) -> Vec<String> {
    let top: BTreeSet<String> = files
        .iter()
        .filter_map(|path| path.iter().next())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    top.into_iter()
        .filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(&name.as_str()))
        .map(|name| format!("{name}: the house has no such thing at its top level"))
        .collect()
}

fn uneven_migrations(files: &[PathBuf]) -> Vec<String> {
    let mut sides: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files {
        let parts: Vec<String> = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
        if let [root, side, name, file] = parts.as_slice()
            && root == "migrations"
        {
            sides.entry(format!("{name}/{file}")).or_default().insert(side.clone());
            for expected in ["up.sql", "down.sql"] {
                sides.entry(format!("{name}/{expected}")).or_default();
            }
        }
    }
    let mut complaints = Vec::new();
    for (file, present) in sides {
        for side in ["postgres", "sqlite"].into_iter().filter(|side| !present.contains(*side)) {
            complaints.push(format!("migrations/{side}/{file} is missing"));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> &'static Path {
        Path::new("crates/harmony-sample/src/lib.rs")
    }

    #[test]
    fn a_file_of_601_lines_is_too_long_and_one_of_600_with_tests_is_not() {
        assert_eq!(
            long_file(sample(), &"a\n".repeat(601)),
            ["crates/harmony-sample/src/lib.rs: 601 lines, 600 are the wall"]
        );
        let tested = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "a\n".repeat(600), "a\n".repeat(100));
        assert_eq!(long_file(sample(), &tested), [""; 0]);
    }

    #[test]
    fn a_function_of_71_lines_is_too_long_and_one_of_70_is_not() {
        let of = |lines: usize| format!("\nfn f() {{\n{}}}\n", "    a();\n".repeat(lines - 2));
        let complaint = "crates/harmony-sample/src/lib.rs:2: f has 71 lines, 70 are the wall";
        assert_eq!(long_functions(sample(), &of(71)), [complaint]);
        assert_eq!(long_functions(sample(), &of(70)), [""; 0]);
    }

    #[test]
    fn a_name_that_says_nothing_is_found_in_crates_files_and_modules() {
        for (path, source) in [
            ("crates/harmony-common/src/lib.rs", ""),
            ("crates/harmony-key/src/utils.rs", ""),
            ("tests/it/helpers/mod.rs", ""),
            ("bin/harmony/src/main.rs", "mod misc {}"),
        ] {
            assert_eq!(empty_names(Path::new(path), source).len(), 1, "{path}");
        }
        assert_eq!(empty_names(Path::new("crates/harmony-key/src/uncommon.rs"), "// mod utils;"), [""; 0]);
    }

    #[test]
    fn a_silenced_lint_is_found_and_an_expected_one_is_not() {
        for source in ["#[allow(dead_code)]", "#![allow(dead_code)]", "#[cfg_attr(test, allow(dead_code))]"] {
            assert_eq!(silenced_lints(sample(), source).len(), 1, "{source}");
        }
        for source in
            ["#[expect(dead_code, reason = \"…\")]", "// #[allow(dead_code)]", "fn f() { allow(1) }"]
        {
            assert_eq!(silenced_lints(sample(), source), [""; 0], "{source}");
        }
    }

    #[test]
    fn what_is_put_off_is_found_and_what_is_said_of_it_is_not() {
        for source in ["todo!()", "unimplemented!(\"later\")", "#[ignore]", "#[ignore = \"slow\"]"] {
            assert_eq!(put_off(sample(), source).len(), 1, "{source}");
        }
        for source in ["// todo!()", "\"todo!()\"", "let todo = 1;", "#[serde(ignore)]"] {
            assert_eq!(put_off(sample(), source), [""; 0], "{source}");
        }
    }

    #[test]
    fn a_path_outside_is_found_and_one_inside_is_not() {
        for outside in OUTSIDE {
            assert_eq!(outside_paths(sample(), &format!("see {outside}/x.md")).len(), 1, "{outside}");
        }
        assert_eq!(outside_paths(sample(), "see ../docs and ../../migrations"), [""; 0]);
    }

    #[test]
    fn a_stranger_at_the_top_is_found_and_a_dotfile_is_not() {
        let files = ["notes.md", ".gitignore", "Cargo.toml", "crates/notes.md"].map(PathBuf::from);
        assert_eq!(strangers_at_the_top(&files), ["notes.md: the house has no such thing at its top level"]);
    }

    #[test]
    fn a_migration_that_one_side_lacks_is_found_and_so_is_a_missing_way_back() {
        let both = |name: &str| {
            ["sqlite", "postgres"].map(|side| PathBuf::from(format!("migrations/{side}/{name}")))
        };
        let mut files = [both("1_a/up.sql"), both("1_a/down.sql"), both("2_b/up.sql")].concat();
        assert_eq!(
            uneven_migrations(&files),
            ["migrations/postgres/2_b/down.sql is missing", "migrations/sqlite/2_b/down.sql is missing"]
        );
        files.push(PathBuf::from("migrations/sqlite/2_b/down.sql"));
        assert_eq!(uneven_migrations(&files), ["migrations/postgres/2_b/down.sql is missing"]);
        files.push(PathBuf::from("migrations/postgres/2_b/down.sql"));
        assert_eq!(uneven_migrations(&files), [""; 0]);
    }
}
