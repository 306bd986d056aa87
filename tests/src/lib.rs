//! Drives the running server from outside and holds the shape of the workspace.
//!
//! The tests are in `it/`. Here is what they need of the world around them, with an answer for those who started them in
//! another way than `just test`.

use std::path::PathBuf;

/// The server's binary: `TEST_HARMONY_BIN`, or what lies beside the tests in Cargo's target folder.
///
/// # Panics
///
/// When there is none.
pub fn harmony_binary() -> PathBuf {
    let beside_the_tests = || {
        let test = std::env::current_exe().ok()?; // target/debug/deps/it-…
        Some(test.parent()?.parent()?.join("harmony"))
    };
    let binary =
        std::env::var_os("TEST_HARMONY_BIN").map(PathBuf::from).or_else(beside_the_tests).unwrap_or_default();
    assert!(binary.is_file(), "there is no {}: build it with `cargo build -p harmony`", binary.display());
    binary
}

/// The URL of a database of this name on the private PostgreSQL; `postgres` is always there.
///
/// # Panics
///
/// When `tests/with-postgres` has not started one.
pub fn postgres_url(database: &str) -> String {
    match std::env::var("TEST_POSTGRES_URL") {
        Ok(url) => replace_database(&url, database),
        Err(_) => panic!("run the tests through `just test`, which starts a private PostgreSQL"),
    }
}

/// The folder of PostgreSQL's server programs, for a test that starts and stops one of its own.
///
/// # Panics
///
/// When `tests/with-postgres` did not run.
pub fn postgres_programs() -> PathBuf {
    match std::env::var_os("TEST_POSTGRES_PROGRAMS") {
        Some(folder) => folder.into(),
        None => panic!("run the tests through `just test` or `tests/with-postgres COMMAND`"),
    }
}

/// The library that stands between a process and the clock.
///
/// # Panics
///
/// When `tests/with-faketime` did not run.
pub fn faketime_library() -> PathBuf {
    match std::env::var_os("TEST_FAKETIME") {
        Some(path) => path.into(),
        None => panic!("run the tests through `just test` or `tests/with-faketime COMMAND`"),
    }
}

/// What `tests/with-browser` found or fetched: `TEST_CHROMIUM`, `TEST_CHROMEDRIVER` or `TEST_AXE`.
///
/// # Panics
///
/// When it did not run.
pub fn browser_tool(variable: &str) -> PathBuf {
    match std::env::var_os(variable) {
        Some(path) => path.into(),
        None => {
            panic!(
                "there is no {variable}: run the tests through `just test` or `tests/with-browser COMMAND`"
            )
        }
    }
}

fn replace_database(url: &str, database: &str) -> String {
    let server = url.rsplit_once('/').map_or(url, |(server, _)| server);
    format!("{server}/{database}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_is_replaced_in_the_url_of_a_socket() {
        let url = "postgres://harmony@%2Ftmp%2Fharmony-postgres.x/postgres";
        assert_eq!(replace_database(url, "t1"), "postgres://harmony@%2Ftmp%2Fharmony-postgres.x/t1");
    }
}
