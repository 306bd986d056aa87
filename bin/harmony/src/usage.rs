//! What is said of a command line that was not understood.

use std::{ffi::OsStr, process::ExitCode};

use clap::error::{ContextKind, ContextValue};

use crate::output;

/// Shows the help that was asked for, or says what is wrong, with the variable that it came from.
pub fn explain(error: &clap::Error, command: &clap::Command) -> ExitCode {
    if !error.use_stderr() {
        // Whoever asked may have stopped reading.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let variable = variable(error, command).filter(|name| std::env::var_os(name).is_some());
    let flag = flag(error);
    let said = |flag: &str| std::env::args_os().any(|word| word.to_string_lossy().starts_with(flag));
    let source = variable.filter(|_| !flag.is_some_and(said));
    if output::is_json() {
        let text = error.render().to_string();
        let sentence = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
        output::complain(&source.map_or_else(|| sentence.to_owned(), |name| format!("{name}: {sentence}")));
    } else {
        let _ = error.print();
        if let Some(name) = source {
            output::complain(&format!("{name} says so, a variable"));
        }
    }
    ExitCode::from(2)
}

/// The flag that an error is about, without its value.
fn flag(error: &clap::Error) -> Option<&str> {
    match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(named)) => named.split_whitespace().next(),
        _ => None,
    }
}

/// The variable that may stand in for the flag that an error is about.
fn variable(error: &clap::Error, command: &clap::Command) -> Option<String> {
    let long = flag(error)?.strip_prefix("--")?;
    let argument = command.get_arguments().find(|one| one.get_long() == Some(long))?;
    argument.get_env().map(OsStr::to_string_lossy).map(Into::into)
}
