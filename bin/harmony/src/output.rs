//! The one place that writes to the terminal.

use std::io::Write;

use crate::failure::Failure;

/// One line on standard output, at once.
pub fn line(text: &str) -> Result<(), Failure> {
    // `println!` panics when nobody reads any more.
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    Ok(out.flush()?)
}

/// A value as JSON on standard output.
pub fn json(value: &serde_json::Value) -> Result<(), Failure> {
    line(&serde_json::to_string_pretty(value)?)
}

/// Whether answers are wanted in JSON, also by a command line that was not understood.
pub fn is_json() -> bool {
    std::env::args_os().any(|word| word == "--json")
}

/// One sentence on standard error; with `--json` as the `error` of an object.
#[expect(clippy::print_stderr, reason = "errors of the command line go to standard error")]
pub fn complain(sentence: &str) {
    if is_json() {
        eprintln!("{}", serde_json::json!({ "error": sentence }));
    } else {
        eprintln!("harmony: {sentence}");
    }
}
