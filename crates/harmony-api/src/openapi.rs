//! The OpenAPI 3.1 description, written from the handlers themselves.

use std::sync::LazyLock;

use serde_json::{Value, json};
use utoipa::OpenApi;

use crate::{api_keys, audit_events, conversations, roles, teams, users, verify, whoami, workspace};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Harmony",
        description = "API keys for a workspace. Send yours in the header `X-API-Key`.",
        license(name = "MIT OR Apache-2.0")
    ),
    paths(
        whoami::whoami,
        whoami::end,
        conversations::list_conversations,
        conversations::create_conversation,
        conversations::get_conversation,
        conversations::change_conversation,
        conversations::delete_conversation,
        conversations::get_transcript,
        api_keys::list_keys,
        api_keys::create_key,
        api_keys::get_key,
        api_keys::change_key,
        api_keys::delete_key,
        api_keys::rotate_key,
        verify::verify_key,
        roles::list_roles,
        roles::create_role,
        roles::get_role,
        roles::change_role,
        roles::delete_role,
        users::list_users,
        users::create_user,
        users::get_user,
        users::change_user,
        users::delete_user,
        teams::list_teams,
        teams::create_team,
        teams::get_team,
        teams::change_team,
        teams::delete_team,
        teams::add_user_to_team,
        teams::remove_user_from_team,
        workspace::get_workspace,
        workspace::change_workspace,
        workspace::list_nodes,
        audit_events::list_events,
    )
)]
struct Description;

/// What [`openapi`] says, made once.
pub(crate) static DESCRIPTION: LazyLock<Value> = LazyLock::new(openapi);

/// The description, with the key's header and the refusals that every route shares.
#[must_use]
pub fn openapi() -> Value {
    let mut description = serde_json::to_value(Description::openapi()).unwrap_or_default();
    if let Some(root) = description.as_object_mut() {
        root.insert("security".to_owned(), json!([{ "api_key": [] }]));
        let components = root.entry("components").or_insert_with(|| json!({}));
        if let Some(components) = components.as_object_mut() {
            components.insert("securitySchemes".to_owned(), schemes());
            let schemas = components.entry("schemas").or_insert_with(|| json!({}));
            if let Some(schemas) = schemas.as_object_mut() {
                schemas.insert("Problem".to_owned(), problem());
            }
        }
        let operations = root.get_mut("paths").and_then(Value::as_object_mut).into_iter().flatten();
        operations
            .filter_map(|(_, path)| path.as_object_mut())
            .flatten()
            .for_each(|(_, it)| add_refusals(it));
    }
    description
}

fn add_refusals(operation: &mut Value) {
    let Some(answers) = operation.get_mut("responses").and_then(Value::as_object_mut) else { return };
    for (status, why) in [
        ("401", "No live key."),
        ("403", "The key lacks a permission."),
        ("429", "The client has used up its requests; `Retry-After` says when there are more."),
        ("default", "Any other refusal."),
    ] {
        let content =
            json!({ "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } });
        answers.entry(status).or_insert_with(|| json!({ "description": why, "content": content }));
    }
}

fn schemes() -> Value {
    json!({ "api_key": { "type": "apiKey", "in": "header", "name": "X-API-Key" } })
}

fn problem() -> Value {
    json!({
        "type": "object",
        "description": "A refusal (RFC 9457).",
        "required": ["type", "title", "status", "detail", "code", "request_id"],
        "properties": {
            "type": { "type": "string" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string" },
            "code": { "type": "string", "description": "A stable word." },
            "request_id": { "type": "string" },
            "required": { "type": "string", "description": "The permission that is lacking." },
            "errors": { "type": "array", "items": { "type": "object", "properties": {
                "field": { "type": "string" }, "code": { "type": "string" }, "detail": { "type": "string" } } } }
        }
    })
}
