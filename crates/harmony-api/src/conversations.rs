//! `/v1/conversations`

use actix_web::{HttpResponse, web};
use harmony_access::{Id, Timestamp};
use harmony_actix::{Granted, Problem, get};
use harmony_store::conversations::{Conversation, Cursor, Filter, Segment};
use harmony_workspace::conversations::{self, ConversationChange, NewConversation};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    Api,
    api_keys::{field, field_id, query_id},
    ask::{Ask, etag, path_id},
    audit_events::instant,
    body::{Body, Object, not_null},
    created::Created,
    list::{List, Query, list, page, query_text},
    needs::{CreateConversations, DeleteConversations, ReadConversations, UpdateConversations},
};
use harmony_workspace::times::{read_instant, rfc3339};

/// The most bytes of a conversation with its transcript: 16 MiB.
const MAX_IMPORT_BYTES: usize = 16 << 20;

pub(crate) fn mount(config: &mut web::ServiceConfig) {
    config
        .service(
            web::resource("/conversations")
                .route(get().to(list_conversations))
                .route(web::post().to(create_conversation)),
        )
        .service(
            web::resource("/conversations/{id}")
                .route(get().to(get_conversation))
                .route(web::patch().to(change_conversation))
                .route(web::delete().to(delete_conversation)),
        )
        .service(web::resource("/conversations/{id}/transcript").route(get().to(get_transcript)));
}

/// A conversation; its transcript is read on its own.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConversationBody {
    id: String,
    owner: String,
    title: String,
    started_at: String,
    duration_secs: i64,
    participants: Vec<String>,
    summary: String,
    action_items: Vec<String>,
    created_at: String,
}

/// What one person said.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SegmentBody {
    speaker: String,
    /// Seconds since the start.
    start_secs: f64,
    text: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewConversationBody {
    /// Whom it belongs to; the caller's user, when absent.
    owner: Option<String>,
    title: String,
    #[schema(example = "2026-11-23T09:00:00Z")]
    started_at: String,
    #[serde(default)]
    duration_secs: i64,
    #[serde(default)]
    participants: Vec<String>,
    #[serde(default)]
    #[schema(value_type = Vec<SegmentBody>)]
    transcript: Vec<Object<SegmentBody>>,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    action_items: Vec<String>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationChangeBody {
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    title: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    summary: Option<String>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    participants: Option<Vec<String>>,
    #[serde(default, deserialize_with = "not_null")]
    #[schema(nullable = false)]
    action_items: Option<Vec<String>>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConversationQuery {
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    cursor: Option<String>,
    /// Those of this user.
    owner: Option<String>,
    /// Those of anyone in this team. It takes `teams:read`: a team that the caller may not read is as good as unknown, and the
    /// list is empty.
    team: Option<String>,
    /// Those that started then or later.
    from: Option<String>,
    /// Those that started before.
    to: Option<String>,
    /// Those with this text in their title or summary.
    q: Option<String>,
}

#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct TranscriptQuery {
    #[param(value_type = Option<u32>)]
    limit: Option<String>,
    cursor: Option<String>,
}

#[utoipa::path(get, path = "/v1/conversations", tag = "Conversations", params(ConversationQuery),
    responses((status = 200, body = List<ConversationBody>)))]
pub(crate) async fn list_conversations(
    granted: Granted<ReadConversations>,
    api: web::Data<Api>,
    Query(query): Query<ConversationQuery>,
) -> Result<HttpResponse, Problem> {
    let page = page(query.limit.as_deref(), query.cursor.as_deref(), read_cursor)?;
    let filter = Filter {
        owner: query_id("owner", query.owner.as_deref())?,
        team: query_id("team", query.team.as_deref())?,
        from: instant("from", query.from.as_deref())?,
        to: instant("to", query.to.as_deref())?,
        q: query_text("q", query.q)?,
    };
    let wanted = page.limit;
    let rows = api.run(move |it| conversations::list(it, granted.principal(), &filter, &page)).await?;
    Ok(HttpResponse::Ok().json(list(rows, wanted, cursor, body)))
}

#[utoipa::path(post, path = "/v1/conversations", tag = "Conversations", request_body = NewConversationBody,
    responses((status = 201, body = ConversationBody)))]
pub(crate) async fn create_conversation(
    granted: Granted<CreateConversations>,
    api: web::Data<Api>,
    ask: Ask,
    input: Body<NewConversationBody, MAX_IMPORT_BYTES>,
) -> Result<HttpResponse, Problem> {
    let idempotency = ask.idempotency(&input.bytes);
    let new = new_conversation(input.value)?;
    let made = api
        .run(move |it| {
            let actor = granted.principal();
            let once = conversations::create(it, actor, &ask.occasion, &new, idempotency.as_ref())?;
            Created::or_find(once, |id| conversations::find_created(it, actor, id))
        })
        .await?;
    let mut answer = made.answer(format!("/v1/conversations/{}", made.value.id));
    Ok(answer.insert_header(etag(made.value.version)).json(body(&made.value)))
}

#[utoipa::path(get, path = "/v1/conversations/{id}", tag = "Conversations", params(("id" = String, Path)),
    responses((status = 200, body = ConversationBody)))]
pub(crate) async fn get_conversation(
    granted: Granted<ReadConversations>,
    api: web::Data<Api>,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let found = api.run(move |it| conversations::find(it, granted.principal(), id)).await?;
    Ok(HttpResponse::Ok().insert_header(etag(found.version)).json(body(&found)))
}

#[utoipa::path(patch, path = "/v1/conversations/{id}", tag = "Conversations", params(("id" = String, Path)),
    request_body = ConversationChangeBody, responses((status = 200, body = ConversationBody)))]
pub(crate) async fn change_conversation(
    granted: Granted<UpdateConversations>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
    input: Body<ConversationChangeBody>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let change = ConversationChange {
        title: input.value.title,
        summary: input.value.summary,
        participants: input.value.participants,
        action_items: input.value.action_items,
    };
    let changed = api
        .run(move |it| conversations::change(it, granted.principal(), &ask.occasion, id, &change, ask.seen))
        .await?;
    Ok(HttpResponse::Ok().insert_header(etag(changed.version)).json(body(&changed)))
}

#[utoipa::path(delete, path = "/v1/conversations/{id}", tag = "Conversations", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn delete_conversation(
    granted: Granted<DeleteConversations>,
    api: web::Data<Api>,
    ask: Ask,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    api.run(move |it| conversations::delete(it, granted.principal(), &ask.occasion, id, ask.seen)).await?;
    Ok(HttpResponse::NoContent().finish())
}

#[utoipa::path(get, path = "/v1/conversations/{id}/transcript", tag = "Conversations",
    params(("id" = String, Path), TranscriptQuery), responses((status = 200, body = List<SegmentBody>)))]
pub(crate) async fn get_transcript(
    granted: Granted<ReadConversations>,
    api: web::Data<Api>,
    path: web::Path<String>,
    Query(query): Query<TranscriptQuery>,
) -> Result<HttpResponse, Problem> {
    let id = path_id(&path)?;
    let page = page(query.limit.as_deref(), query.cursor.as_deref(), |text| text.parse().ok())?;
    let wanted = page.limit;
    let rows = api.run(move |it| conversations::transcript(it, granted.principal(), id, &page)).await?;
    Ok(HttpResponse::Ok().json(list(rows, wanted, |row| row.0.to_string(), |row| segment(&row.1))))
}

fn new_conversation(input: NewConversationBody) -> Result<NewConversation, Problem> {
    let started_at = read_instant(&input.started_at);
    Ok(NewConversation {
        owner: field_id("owner", input.owner.as_deref())?,
        title: input.title,
        started_at: started_at.map_err(|error| field("started_at", "not_an_instant", error.to_string()))?,
        duration_secs: input.duration_secs,
        participants: input.participants,
        summary: input.summary,
        action_items: input.action_items,
        segments: input
            .transcript
            .into_iter()
            .map(|Object(said)| Segment {
                speaker: said.speaker,
                start_secs: said.start_secs,
                content: said.text,
            })
            .collect(),
    })
}

fn body(conversation: &Conversation) -> ConversationBody {
    ConversationBody {
        id: conversation.id.to_string(),
        owner: conversation.owner.to_string(),
        title: conversation.title.clone(),
        started_at: rfc3339(conversation.started_at),
        duration_secs: conversation.duration_secs,
        participants: conversation.participants.clone(),
        summary: conversation.summary.clone(),
        action_items: conversation.action_items.clone(),
        created_at: rfc3339(conversation.created_at),
    }
}

fn segment(segment: &Segment) -> SegmentBody {
    SegmentBody {
        speaker: segment.speaker.clone(),
        start_secs: segment.start_secs,
        text: segment.content.clone(),
    }
}

/// `1760000000000-cnv_…`: when the last one started, and its id.
fn cursor(last: &Conversation) -> String {
    format!("{}-{}", last.started_at.as_millis(), last.id)
}

fn read_cursor(text: &str) -> Option<Cursor> {
    let (millis, id) = text.rsplit_once('-')?;
    Some((Timestamp::from_millis(millis.parse().ok()?), Id::parse(id).ok()?))
}
