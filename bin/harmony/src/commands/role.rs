//! `harmony role …`

use clap::Subcommand;
use harmony_permission::{Permission, PermissionSet};
use harmony_store::roles::Role;
use harmony_workspace::roles::{self, NewRole};
use serde_json::{Value, json};

use super::{Desk, JsonArgs, WhereArgs, all_pages};
use crate::{demo::made, failure::Failure, output, settings::Settings};

#[derive(clap::Args)]
pub struct RoleArgs {
    #[command(subcommand)]
    command: RoleCommand,
}

#[derive(Subcommand)]
enum RoleCommand {
    /// List roles, the built-in ones first
    #[command(after_help = "Example:\n  harmony role list --json")]
    List {
        #[command(flatten)]
        place: WhereArgs,
        #[command(flatten)]
        form: JsonArgs,
    },
    /// Make a role
    #[command(
        after_help = "Example:\n  harmony role create --name Reader \\\n    --permission conversations:read:all,users:read:all"
    )]
    Create(CreateArgs),
    /// Delete a role that nobody has
    #[command(after_help = "Example:\n  harmony role delete Reader")]
    Delete {
        /// The role, by name or id
        #[arg(value_name = "NAME")]
        role: String,
        #[command(flatten)]
        place: WhereArgs,
        #[command(flatten)]
        form: JsonArgs,
    },
}

#[derive(clap::Args)]
struct CreateArgs {
    /// Its name
    #[arg(long)]
    name: String,
    /// What it is for
    #[arg(long, default_value = "")]
    description: String,
    /// What it permits, such as conversations:read:all; may be repeated
    #[arg(long = "permission", value_name = "RESOURCE:ACTION:SCOPE", value_delimiter = ',', value_parser = Permission::parse)]
    permissions: Vec<Permission>,
    #[command(flatten)]
    place: WhereArgs,
    #[command(flatten)]
    form: JsonArgs,
}

pub fn run(settings: &Settings, args: &RoleArgs) -> Result<(), Failure> {
    match &args.command {
        RoleCommand::List { place, form } => list(&Desk::open(settings, place)?, *form),
        RoleCommand::Create(args) => create(&Desk::open(settings, &args.place)?, args),
        RoleCommand::Delete { role, place, form } => delete(&Desk::open(settings, place)?, role, *form),
    }
}

fn list(desk: &Desk, form: JsonArgs) -> Result<(), Failure> {
    let all = all_pages(|page| roles::list(&desk.workspace, desk.operator(), page), |role| role.id)?;
    if form.json {
        let data: Vec<_> = all.iter().map(shown).collect();
        return output::json(&json!({ "data": data, "next_cursor": null }));
    }
    all.iter().try_for_each(|role| output::line(&format!("{}  {}  {}", role.id, role.name, role.description)))
}

fn create(desk: &Desk, args: &CreateArgs) -> Result<(), Failure> {
    let new = NewRole {
        name: args.name.clone(),
        description: args.description.clone(),
        permissions: args.permissions.iter().copied().collect::<PermissionSet>(),
    };
    let role = made(roles::create(&desk.workspace, desk.operator(), &desk.occasion, &new, None)?)?;
    if args.form.json {
        return output::json(&shown(&role));
    }
    output::line(&format!("{} ({}) is made", role.id, role.name))
}

fn delete(desk: &Desk, named: &str, form: JsonArgs) -> Result<(), Failure> {
    let id = desk.role(named)?.id;
    let role = roles::delete(&desk.workspace, desk.operator(), &desk.occasion, id, None)?;
    if form.json {
        return output::json(&json!({ "id": role.id.to_string(), "deleted": true }));
    }
    output::line(&format!("{} ({}) is deleted", role.id, role.name))
}

fn shown(role: &Role) -> Value {
    let permissions: Vec<_> = role.permissions().to_permissions().iter().map(ToString::to_string).collect();
    json!({
        "id": role.id.to_string(),
        "name": role.name,
        "description": role.description,
        "built_in": role.built_in.is_some(),
        "permissions": permissions,
        "created_at": harmony_workspace::times::rfc3339(role.created_at),
    })
}
