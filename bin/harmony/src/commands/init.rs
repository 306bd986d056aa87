//! `harmony init`

use harmony_workspace::setup;
use serde_json::json;

use super::{occasion, open, secret_from_stdin};
use crate::{failure::Failure, output, settings::Settings};

#[derive(clap::Args)]
pub struct InitArgs {
    /// The workspace's name
    #[arg(long)]
    workspace: String,
    /// The administrator's name
    #[arg(long)]
    name: String,
    /// The administrator's e-mail address
    #[arg(long)]
    email: String,
    /// Read the administrator's password from standard input; without one they cannot sign in yet
    #[arg(long)]
    password_stdin: bool,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(settings: &Settings, args: &InitArgs) -> Result<(), Failure> {
    let password = if args.password_stdin { Some(secret_from_stdin()?) } else { None };
    let new = setup::NewWorkspace {
        name: &args.workspace,
        user_name: &args.name,
        email: &args.email,
        password: password.as_deref(),
    };
    let (workspace, user) = setup::create(&open(settings)?, &occasion(), &new)?;
    if args.json {
        return output::json(&json!({ "workspace": workspace.to_string(), "user": user.to_string() }));
    }
    output::line(&format!("workspace {workspace} and its administrator {user} are made; next:"))?;
    output::line(&format!("  harmony key create --name first --owner {} --role Admin", args.email))
}
