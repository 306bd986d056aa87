//! `harmony key …`

use std::time::Duration;

use clap::Subcommand;
use harmony_access::{ApiKeyId, Timestamp};
use harmony_key::PresentedKey;
use harmony_store::api_keys::Filter;
use harmony_workspace::{
    DisplayRateLimit,
    api_keys::{self, IssuedApiKey, NewApiKey},
};
use serde_json::json;

use super::{Desk, WhereArgs, all_pages, secret_from_stdin};
use crate::{demo::made, failure::Failure, output, settings::Settings};

#[derive(clap::Args)]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Subcommand)]
enum KeyCommand {
    /// Issue a key, and show it once
    #[command(
        after_help = "Example:\n  harmony key create --name CI --owner ann@example.com --role User \\\n    --expires 2027-01-31 --json"
    )]
    Create(CreateArgs),
    /// List keys, newest first
    #[command(after_help = "Example:\n  harmony key list --json")]
    List(ListArgs),
    /// Replace a key by a new one
    #[command(
        after_help = "Example:\n  harmony key rotate key_019ab3d2c1f07e3f8a55d0c4b1e2f301 --grace-secs 3600"
    )]
    Rotate(RotateArgs),
    /// Delete a key for good; answered when no server accepts it any more
    #[command(after_help = "Example:\n  harmony key delete key_019ab3d2c1f07e3f8a55d0c4b1e2f301 --json")]
    Delete(OneArgs),
    /// Take in a key that was issued elsewhere, from standard input
    #[command(after_help = "Example:\n  harmony key import --name Legacy --owner ann@example.com < key.txt")]
    Import(CreateArgs),
}

#[derive(clap::Args)]
struct CreateArgs {
    /// The key's name
    #[arg(long)]
    name: String,
    /// The user it acts for, by e-mail address or id
    #[arg(long, value_name = "EMAIL")]
    owner: String,
    /// Its role; without one it has the workspace's default key permissions
    #[arg(long, value_name = "NAME")]
    role: Option<String>,
    /// From when on it is refused: an instant (RFC 3339), or a date, which lasts to its end in UTC
    #[arg(long, value_name = "RFC3339|DATE", value_parser = expiration)]
    expires: Option<Timestamp>,
    /// What is shown as its rate limit; never enforced
    #[arg(long, value_name = "TEXT|NUMBER", value_parser = display_rate_limit)]
    display_rate_limit: Option<DisplayRateLimit>,
    #[command(flatten)]
    place: WhereArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct ListArgs {
    #[command(flatten)]
    place: WhereArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct RotateArgs {
    /// The key's id
    #[arg(value_parser = ApiKeyId::parse)]
    id: ApiKeyId,
    /// How long the old key lives on, at most 30 days
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    grace_secs: u64,
    #[command(flatten)]
    place: WhereArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
struct OneArgs {
    /// The key's id
    #[arg(value_parser = ApiKeyId::parse)]
    id: ApiKeyId,
    #[command(flatten)]
    place: WhereArgs,
    /// Answer in JSON
    #[arg(long)]
    json: bool,
}

pub fn run(settings: &Settings, args: &KeyArgs) -> Result<(), Failure> {
    match &args.command {
        KeyCommand::Create(args) => create(settings, args),
        KeyCommand::List(args) => list(settings, args),
        KeyCommand::Rotate(args) => rotate(settings, args),
        KeyCommand::Delete(args) => delete(settings, args),
        KeyCommand::Import(args) => import(settings, args),
    }
}

fn create(settings: &Settings, args: &CreateArgs) -> Result<(), Failure> {
    let desk = Desk::open(settings, &args.place)?;
    let (new, owner) = wanted(&desk, args)?;
    let made = made(api_keys::create(&desk.workspace, &owner, &desk.occasion, &new, None)?)?;
    show_issued(&made, args.json)
}

fn wanted(desk: &Desk, args: &CreateArgs) -> Result<(NewApiKey, harmony_access::Principal), Failure> {
    let owner = desk.user(&args.owner)?.id;
    let role = args.role.as_deref().map(|named| desk.role(named)).transpose()?.map(|role| role.id);
    let new = NewApiKey {
        name: args.name.clone(),
        owner: Some(owner),
        role,
        expires_at: args.expires,
        display_rate_limit: args.display_rate_limit.clone(),
    };
    Ok((new, desk.acting_for(owner)))
}

fn show_issued(issued: &IssuedApiKey, json: bool) -> Result<(), Failure> {
    if json {
        return output::json(&harmony_api::issued_json(issued));
    }
    output::line(&format!("{} ({}), shown this once:", issued.key.id, issued.key.name))?;
    output::line(issued.text.reveal())
}

fn list(settings: &Settings, args: &ListArgs) -> Result<(), Failure> {
    let desk = Desk::open(settings, &args.place)?;
    let filter = Filter::default();
    let keys =
        all_pages(|page| api_keys::list(&desk.workspace, desk.operator(), &filter, page), |(key, _)| key.id)?;
    if args.json {
        let data: Vec<_> =
            keys.iter().map(|(key, used)| harmony_api::api_key_json(key, used.as_ref())).collect();
        return output::json(&json!({ "data": data, "next_cursor": null }));
    }
    keys.iter().try_for_each(|(key, used)| {
        let used = used
            .as_ref()
            .map_or_else(|| "never".to_owned(), |used| harmony_workspace::times::rfc3339(used.at));
        output::line(&format!("{}  lk_…{}  last used {used}  {}", key.id, key.last_four, key.name))
    })
}

fn rotate(settings: &Settings, args: &RotateArgs) -> Result<(), Failure> {
    let desk = Desk::open(settings, &args.place)?;
    let grace = Duration::from_secs(args.grace_secs);
    let (workspace, actor) = (&desk.workspace, desk.operator());
    let rotated = api_keys::rotate(workspace, actor, &desk.occasion, args.id, grace, None);
    let issued = made(found(desk.settled(rotated), args.id)?)?;
    show_issued(&issued, args.json)
}

fn delete(settings: &Settings, args: &OneArgs) -> Result<(), Failure> {
    let desk = Desk::open(settings, &args.place)?;
    let deleted = api_keys::delete(&desk.workspace, desk.operator(), &desk.occasion, args.id, None);
    let key = found(desk.settled(deleted), args.id)?;
    if args.json {
        return output::json(&json!({ "id": key.id.to_string(), "deleted": true }));
    }
    output::line(&format!("{} ({}) is deleted", key.id, key.name))
}

fn found<T>(outcome: Result<T, harmony_workspace::Error>, id: ApiKeyId) -> Result<T, Failure> {
    outcome.map_err(|error| match error {
        harmony_workspace::Error::NotFound => Failure::refused(format!("the workspace has no key {id}")),
        other => other.into(),
    })
}

fn import(settings: &Settings, args: &CreateArgs) -> Result<(), Failure> {
    let desk = Desk::open(settings, &args.place)?;
    let (new, owner) = wanted(&desk, args)?;
    let text = secret_from_stdin()?;
    let presented = PresentedKey::parse(text.as_bytes())
        .map_err(|error| Failure::of("standard input holds no key", &error))?;
    let imported = api_keys::import(&desk.workspace, &owner, &desk.occasion, &new, presented);
    let key = desk.settled(imported)?;
    if args.json {
        return output::json(&harmony_api::api_key_json(&key, None));
    }
    output::line(&format!("{} ({}) is imported", key.id, key.name))
}

fn expiration(text: &str) -> Result<Timestamp, String> {
    harmony_workspace::times::read_expiration(text).map_err(|error| error.to_string())
}

/// A number if it reads as one, otherwise the text as it is: what the API would take.
fn display_rate_limit(text: &str) -> Result<DisplayRateLimit, String> {
    Ok(text.parse().map_or_else(|_| DisplayRateLimit::Text(text.to_owned()), DisplayRateLimit::Number))
}
