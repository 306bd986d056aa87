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

/// One sentence on standard error.
#[expect(clippy::print_stderr, reason = "errors of the command line go to standard error")]
pub fn complain(sentence: &str) {
    eprintln!("harmony: {sentence}");
}
