//! `/v1/whoami`: a key asks what it is, and may end itself.

use actix_web::{HttpResponse, http::header::ContentType, web};
use harmony_access::{Id, KeyRecord, Kind};
use harmony_actix::{Authenticated, Code, Problem, get};
use harmony_workspace::{api_keys, times::rfc3339};
use utoipa::ToSchema;

use crate::{Api, ask::Ask};

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config.service(web::resource("/whoami").route(get().to(whoami)).route(web::delete().to(end)));
}

/// Who a key is.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it describes what `written` writes")]
pub(crate) struct WhoamiBody {
    id: String,
    name: String,
    last_four: String,
    workspace: String,
    owner: String,
    role: Option<String>,
    permissions: Vec<String>,
    expires_at: Option<String>,
}

#[utoipa::path(get, path = "/v1/whoami", tag = "This key", responses((status = 200, body = WhoamiBody)))]
pub(crate) async fn whoami(caller: Authenticated) -> Result<HttpResponse, Problem> {
    let key = caller.principal().key().ok_or_else(|| Problem::new(Code::Internal))?;
    let body = written(key).map_err(Problem::internal)?;
    Ok(HttpResponse::Ok().content_type(ContentType::json()).body(body))
}

/// The [`WhoamiBody`] of a key. It is the answer that is asked for most, and of all its texts only the name could hold a
/// character that JSON escapes: through a serializer it took as long as the rest of the request together.
fn written(key: &KeyRecord) -> serde_json::Result<String> {
    let mut body = String::with_capacity(USUAL_BYTES);
    quote(&mut body, "{\"id\":", key.id);
    body.push_str(",\"name\":");
    body.push_str(&serde_json::to_string(&key.name)?);
    body.push_str(",\"last_four\":\"");
    body.push_str(key.last_four.as_str());
    quote(&mut body, "\",\"workspace\":", key.workspace);
    quote(&mut body, ",\"owner\":", key.owner);
    match key.role {
        Some(role) => quote(&mut body, ",\"role\":", role),
        None => body.push_str(",\"role\":null"),
    }
    body.push_str(",\"permissions\":[");
    for (place, permission) in key.permissions.to_permissions().iter().enumerate() {
        body.push_str(if place == 0 { "\"" } else { ",\"" });
        permission.push_to(&mut body);
        body.push('"');
    }
    body.push_str("],\"expires_at\":");
    match key.expires_at {
        Some(at) => body.extend(["\"", &rfc3339(at), "\"}"]),
        None => body.push_str("null}"),
    }
    Ok(body)
}

fn quote<K: Kind>(body: &mut String, before: &str, id: Id<K>) {
    body.push_str(before);
    body.push('"');
    id.push_to(body);
    body.push('"');
}

/// The room that the body of a key with a few permissions takes.
const USUAL_BYTES: usize = 768;

#[utoipa::path(delete, path = "/v1/whoami", tag = "This key",
    responses((status = 204, description = "From now on nobody accepts the key.")))]
pub(crate) async fn end(
    caller: Authenticated,
    api: web::Data<Api>,
    ask: Ask,
) -> Result<HttpResponse, Problem> {
    let principal = caller.principal().clone();
    let ended = api.change(move |it| api_keys::delete_own(it, &principal, &ask.occasion)).await?;
    Ok(ended.no_content())
}

#[cfg(test)]
mod tests {
    use harmony_access::{ApiKeyId, RoleId, Timestamp, UserId, WorkspaceId};
    use harmony_key::{KeyDigest, LastFour};
    use harmony_permission::{Permission, PermissionSet};
    use serde_json::{Value, json};

    use super::*;

    const AT: Timestamp = Timestamp::from_millis(1_801_396_800_007);

    fn key() -> KeyRecord {
        KeyRecord {
            id: ApiKeyId::new(AT, [1; 10]),
            digest: KeyDigest::from_stored(&[5; 32]).unwrap(),
            workspace: WorkspaceId::new(AT, [2; 10]),
            owner: UserId::new(AT, [3; 10]),
            name: "CRM \"live\" \\ \u{1f511}\n<b>".to_owned(),
            last_four: LastFour::from_stored("0a9f").unwrap(),
            role: Some(RoleId::new(AT, [4; 10])),
            permissions: ["conversations:read:team", "users:read:own"]
                .map(|text| Permission::parse(text).unwrap())
                .into_iter()
                .collect(),
            expires_at: Some(AT),
        }
    }

    fn read(key: &KeyRecord) -> Value {
        serde_json::from_str(&written(key).unwrap()).unwrap()
    }

    #[test]
    fn a_key_with_everything_reads_back_field_by_field() {
        let key = key();
        let wanted = json!({
            "id": key.id.to_string(), "name": key.name, "last_four": "0a9f",
            "workspace": key.workspace.to_string(), "owner": key.owner.to_string(),
            "role": key.role.map(|role| role.to_string()),
            "permissions": ["conversations:read:team", "users:read:own"],
            "expires_at": "2027-01-31T12:00:00.007Z",
        });
        assert_eq!(read(&key), wanted);
    }

    #[test]
    fn what_a_key_lacks_is_null_or_empty() {
        let key = KeyRecord { role: None, permissions: PermissionSet::none(), expires_at: None, ..key() };
        let body = read(&key);
        assert_eq!(
            [&body["role"], &body["permissions"], &body["expires_at"]],
            [&Value::Null, &json!([]), &Value::Null]
        );
    }
}
