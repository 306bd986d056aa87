//! `harmony user …`

use clap::Subcommand;
use harmony_access::Principal;
use harmony_permission::BuiltInRole;
use harmony_store::{Page, users::User};
use harmony_workspace::{
    DrawnPassword,
    users::{self, KeysFate, NewUser},
};
use serde_json::{Value, json};

use super::{Desk, JsonArgs, WhereArgs, all_pages, secret_from_stdin};
use crate::{demo::made, failure::Failure, output, settings::Settings};

#[derive(clap::Args)]
pub struct UserArgs {
    #[command(subcommand)]
    command: UserCommand,
}

#[derive(Subcommand)]
enum UserCommand {
    /// List users, oldest first
    #[command(after_help = "Example:\n  harmony user list --json")]
    List {
        #[command(flatten)]
        place: WhereArgs,
        #[command(flatten)]
        form: JsonArgs,
    },
    /// Add a user
    #[command(
        after_help = "Example:\n  harmony user add --email uma@example.com --name 'Uma Ray' --role User"
    )]
    Add(AddArgs),
    /// Delete a user, saying what becomes of their API keys
    #[command(after_help = "Example:\n  harmony user delete uma@example.com --keys-to ann@example.com")]
    Delete(DeleteArgs),
    /// Give a user who lost theirs another password, and end their sessions
    #[command(after_help = "Example:\n  harmony user reset-password uma@example.com")]
    ResetPassword(ResetArgs),
}

#[derive(clap::Args)]
struct AddArgs {
    /// Their e-mail address
    #[arg(long)]
    email: String,
    /// Their name
    #[arg(long)]
    name: String,
    /// Their role, by name or id
    #[arg(long, default_value = BuiltInRole::User.name())]
    role: String,
    /// Read their password from standard input; without one they cannot sign in
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    place: WhereArgs,
    #[command(flatten)]
    form: JsonArgs,
}

#[derive(clap::Args)]
struct DeleteArgs {
    /// The user, by e-mail address or id
    #[arg(value_name = "EMAIL")]
    user: String,
    /// Delete their API keys as well
    #[arg(long, conflicts_with = "keys_to")]
    delete_keys: bool,
    /// Let their API keys act for this user from now on
    #[arg(long, value_name = "EMAIL")]
    keys_to: Option<String>,
    #[command(flatten)]
    place: WhereArgs,
    #[command(flatten)]
    form: JsonArgs,
}

#[derive(clap::Args)]
struct ResetArgs {
    /// The user, by e-mail address or id
    #[arg(value_name = "EMAIL")]
    user: String,
    /// Read the new password from standard input; without it one is drawn and shown this once
    #[arg(long)]
    password_stdin: bool,
    #[command(flatten)]
    place: WhereArgs,
    #[command(flatten)]
    form: JsonArgs,
}

pub fn run(settings: &Settings, args: &UserArgs) -> Result<(), Failure> {
    match &args.command {
        UserCommand::List { place, form } => list(&Desk::open(settings, place)?, *form),
        UserCommand::Add(args) => add(&Desk::open(settings, &args.place)?, args),
        UserCommand::Delete(args) => delete(&Desk::open(settings, &args.place)?, args),
        UserCommand::ResetPassword(args) => reset_password(&Desk::open(settings, &args.place)?, args),
    }
}

fn list(desk: &Desk, form: JsonArgs) -> Result<(), Failure> {
    let all = all_pages(|page| users::list(&desk.workspace, desk.operator(), page), |user| user.id)?;
    if form.json {
        let data: Vec<_> = all.iter().map(shown).collect();
        return output::json(&json!({ "data": data, "next_cursor": null }));
    }
    all.iter().try_for_each(|user| output::line(&format!("{}  {}  {}", user.id, user.email, user.name)))
}

fn add(desk: &Desk, args: &AddArgs) -> Result<(), Failure> {
    let role = desk.role(&args.role)?.id;
    let password = if args.password_stdin { Some(secret_from_stdin()?) } else { None };
    let new = NewUser { email: &args.email, name: &args.name, role, password: password.as_deref() };
    let user = made(users::create(&desk.workspace, desk.operator(), &desk.occasion, &new, None)?)?;
    if args.form.json {
        return output::json(&shown(&user));
    }
    output::line(&format!("{} ({}) is added", user.id, user.email))
}

fn delete(desk: &Desk, args: &DeleteArgs) -> Result<(), Failure> {
    let user = desk.user(&args.user)?;
    let keys = match (&args.keys_to, args.delete_keys) {
        (Some(heir), _) => KeysFate::Transfer(desk.user(heir)?.id),
        (None, true) => KeysFate::Delete,
        (None, false) => KeysFate::Unsaid,
    };
    let actor = somebody_else(desk, &user)?;
    let deleted = users::delete(&desk.workspace, &actor, &desk.occasion, user.id, keys, None);
    let user = desk.settled(deleted).map_err(|error| match error {
        harmony_workspace::Error::Conflict(harmony_workspace::Conflict::KeysRemain { keys }) => {
            Failure::refused(format!("the user owns {keys} API keys; say --delete-keys or --keys-to EMAIL"))
        }
        other => other.into(),
    })?;
    if args.form.json {
        return output::json(&json!({ "id": user.id.to_string(), "deleted": true }));
    }
    output::line(&format!("{} ({}) is deleted", user.id, user.email))
}

fn reset_password(desk: &Desk, args: &ResetArgs) -> Result<(), Failure> {
    let user = desk.user(&args.user)?;
    let given = if args.password_stdin { Some(secret_from_stdin()?) } else { None };
    let drawn = if given.is_none() { Some(DrawnPassword::draw()?) } else { None };
    let new = given.as_deref().or_else(|| drawn.as_ref().map(DrawnPassword::reveal)).unwrap_or_default();
    let reset = users::reset_password(&desk.workspace, desk.operator(), &desk.occasion, user.id, new, None);
    let user = made(desk.settled(reset)?)?;
    let shown = drawn.as_ref().map(DrawnPassword::reveal);
    if args.form.json {
        return output::json(&json!({ "id": user.id.to_string(), "email": user.email, "password": shown }));
    }
    output::line(&format!("{} ({}) has a new password and is signed out everywhere", user.id, user.email))?;
    shown.map_or(Ok(()), output::line)
}

/// Nobody removes themselves, and so the operator acts for another user.
fn somebody_else(desk: &Desk, user: &User) -> Result<Principal, Failure> {
    let first_two = users::list(&desk.workspace, desk.operator(), &Page { after: None, limit: 2 })?;
    let other = first_two.iter().find(|other| other.id != user.id);
    let other = other.ok_or_else(|| Failure::refused("the workspace's only user cannot be deleted"))?;
    Ok(desk.acting_for(other.id))
}

fn shown(user: &User) -> Value {
    json!({
        "id": user.id.to_string(),
        "email": user.email,
        "name": user.name,
        "role": user.role.to_string(),
        "created_at": harmony_workspace::times::rfc3339(user.created_at),
    })
}
