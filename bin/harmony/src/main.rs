//! The Harmony server and its command line: reads the configuration, opens the store, mounts the rooms, runs.

mod access_log;
mod commands;
mod demo;
mod failure;
mod folder;
mod limiter;
mod listening;
mod log;
mod metrics;
mod node;
mod observer;
mod output;
mod serve;
mod settings;
mod setup_link;
mod usage;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::{failure::Failure, settings::Said};

/// Conversations behind API keys, roles and rate limits.
#[derive(Parser)]
#[command(name = "harmony", version, max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    said: Said,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the server
    #[command(after_help = "Example:\n  harmony serve --listen 127.0.0.1:8080 --data-dir /var/lib/harmony")]
    Serve(serve::ServeArgs),
    /// Make the first workspace and its administrator
    #[command(
        after_help = "Example:\n  harmony init --workspace Acme --name 'Ann Lee' --email ann@example.com \\\n    --password-stdin < password.txt"
    )]
    Init(commands::init::InitArgs),
    /// Create, list, rotate, delete and import API keys
    #[command(after_help = "Example:\n  harmony key create --name CI --owner ann@example.com --json")]
    Key(commands::key::KeyArgs),
    /// List, add and delete users
    #[command(after_help = "Example:\n  harmony user list --json")]
    User(commands::user::UserArgs),
    /// List, create and delete roles
    #[command(
        after_help = "Example:\n  harmony role create --name Reader --permission conversations:read:all"
    )]
    Role(commands::role::RoleArgs),
    /// Copy everything into an empty database, from SQLite to PostgreSQL or in any other direction
    #[command(
        after_help = "Example:\n  harmony copy --from sqlite:harmony-data/harmony.sqlite \\\n    --to-file /run/secrets/harmony-database"
    )]
    Copy(commands::copy::CopyArgs),
    /// Print the configuration in force, without secrets
    #[command(after_help = "Example:\n  HARMONY_LISTEN=127.0.0.1:9000 harmony config --json")]
    Config(commands::JsonArgs),
    /// Check configuration, data folder, database and clock
    #[command(after_help = "Example:\n  harmony doctor --data-dir /var/lib/harmony")]
    Doctor(commands::JsonArgs),
    /// Print the OpenAPI description of the API
    #[command(after_help = "Example:\n  harmony openapi > openapi.json")]
    Openapi(commands::JsonArgs),
}

fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return usage::explain(&error, &CommandLine::command()),
    };
    no_core_dumps();
    match run(line) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::complain(&failure.to_string());
            failure.exit_code()
        }
    }
}

fn run(line: CommandLine) -> Result<(), Failure> {
    let said = line.said;
    match line.command {
        Command::Serve(args) => serve::run(said.settle()?, &args),
        Command::Init(args) => commands::init::run(&said.settle()?, &args),
        Command::Key(args) => commands::key::run(&said.settle()?, &args),
        Command::User(args) => commands::user::run(&said.settle()?, &args),
        Command::Role(args) => commands::role::run(&said.settle()?, &args),
        Command::Copy(args) => commands::copy::run(&said.settle()?, &args),
        Command::Config(args) => commands::config(&said.settle()?, args),
        Command::Doctor(args) => commands::doctor::run(said, args),
        Command::Openapi(_) => output::json(&harmony_api::openapi()),
    }
}

/// A core dump would hold keys; files of this process are nobody else's to read.
fn no_core_dumps() {
    let none = rustix::process::Rlimit { current: Some(0), maximum: Some(0) };
    let _ = rustix::process::setrlimit(rustix::process::Resource::Core, none);
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent_and_every_command_shows_an_example() {
        let command = CommandLine::command();
        command.clone().debug_assert();
        for subcommand in command.get_subcommands() {
            let leaves: Vec<_> = subcommand.get_subcommands().collect();
            let shown = |one: &clap::Command| {
                one.get_after_help().is_some_and(|help| help.to_string().contains("harmony "))
            };
            assert!(shown(subcommand), "{}", subcommand.get_name());
            assert!(leaves.into_iter().all(shown), "{}", subcommand.get_name());
        }
    }
}
