//! Conversations: add, list, read, change, delete.

use harmony_access::{ConversationId, Principal, Reach, TeamId, Timestamp, UserId};
use harmony_permission::catalogue;
use harmony_store::{
    Page, Tx, Version,
    conversations::{self, Conversation, Cursor, Filter, Segment},
    teams, users,
};
use serde_json::json;

use crate::{
    Error, Occasion, Once, Workspace, audit, check,
    workspace::{Idempotency, once, reach},
};

/// The longest title, in characters.
pub const MAX_TITLE_CHARS: usize = 200;
/// The most participants; each has a name of 1 to 100 characters.
pub const MAX_PARTICIPANTS: usize = 100;
/// The longest summary, in characters.
pub const MAX_SUMMARY_CHARS: usize = 20_000;
/// The most action items.
pub const MAX_ACTION_ITEMS: usize = 200;
/// The longest action item, in characters.
pub const MAX_ACTION_ITEM_CHARS: usize = 1_000;
/// The most segments of a transcript; each has a speaker of 1 to 100 characters.
pub const MAX_SEGMENTS: usize = 10_000;
/// The longest text of a segment, in characters.
pub const MAX_SEGMENT_CHARS: usize = 10_000;
/// The longest conversation, in seconds: a week.
pub const MAX_DURATION_SECS: i64 = 604_800;
/// The longest text that is searched for, in characters.
pub const MAX_SEARCH_CHARS: usize = 200;
/// The first instant that a conversation may start at: the beginning of the year 1970.
pub const FIRST_START: Timestamp = Timestamp::from_millis(0);
/// The last: the end of the year 9999, the last that RFC 3339 can say.
pub const LAST_START: Timestamp = crate::api_keys::LAST_EXPIRATION;

/// What a new conversation is to be.
#[derive(Debug, Clone, PartialEq)]
pub struct NewConversation {
    /// Whom it belongs to; the actor's user, when `None`.
    pub owner: Option<UserId>,
    /// Its title.
    pub title: String,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took, in seconds.
    pub duration_secs: i64,
    /// The names of those who took part.
    pub participants: Vec<String>,
    /// What it was about.
    pub summary: String,
    /// What is to be done.
    pub action_items: Vec<String>,
    /// What was said.
    pub segments: Vec<Segment>,
}

/// What is to change of a conversation; `None` leaves it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConversationChange {
    /// Another title.
    pub title: Option<String>,
    /// Another summary.
    pub summary: Option<String>,
    /// Other participants.
    pub participants: Option<Vec<String>>,
    /// Other action items.
    pub action_items: Option<Vec<String>>,
}

/// Adds a conversation.
///
/// # Errors
///
/// Without `conversations:create`; for an owner beyond its reach, and for what is not well formed.
pub fn create(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    new: &NewConversation,
    idempotency: Option<&Idempotency>,
) -> Result<Once<Conversation>, Error> {
    let reach = reach(actor, catalogue::CONVERSATIONS_CREATE)?;
    workspace.write(|tx| {
        once(tx, actor, occasion, idempotency, |tx| {
            let owner = new.owner.unwrap_or(actor.user());
            users::find(tx, &reach, owner)?
                .ok_or_else(|| Error::invalid("owner", "unknown", "there is no such user within reach"))?;
            let conversation = checked(actor, occasion, owner, new)?;
            conversations::insert(tx, &conversation, &transcript_of(new)?)?;
            note(tx, actor, occasion, "conversation.created", &conversation)?;
            let id = conversation.id.to_string();
            Ok((conversation, id))
        })
    })
}

fn checked(
    actor: &Principal,
    occasion: &Occasion,
    owner: UserId,
    new: &NewConversation,
) -> Result<Conversation, Error> {
    if !(FIRST_START..=LAST_START).contains(&new.started_at) {
        return Err(Error::invalid("started_at", "out_of_range", "the years 1970 to 9999 are possible"));
    }
    if !(0..=MAX_DURATION_SECS).contains(&new.duration_secs) {
        let detail = format!("a conversation takes 0 to {MAX_DURATION_SECS} seconds (a week)");
        return Err(Error::invalid("duration_secs", "out_of_range", detail));
    }
    Ok(Conversation {
        id: occasion.id()?,
        workspace: actor.workspace(),
        owner,
        title: title(&new.title)?,
        started_at: new.started_at,
        duration_secs: new.duration_secs,
        participants: participants(&new.participants)?,
        summary: passage("summary", &new.summary, MAX_SUMMARY_CHARS)?,
        action_items: action_items(&new.action_items)?,
        version: Version::FIRST,
        created_at: occasion.now,
    })
}

fn transcript_of(new: &NewConversation) -> Result<Vec<Segment>, Error> {
    at_most("segments", new.segments.len(), MAX_SEGMENTS)?;
    new.segments.iter().map(segment).collect()
}

fn segment(segment: &Segment) -> Result<Segment, Error> {
    if !segment.start_secs.is_finite() || segment.start_secs < 0.0 {
        return Err(Error::invalid("start_secs", "out_of_range", "a segment starts at 0 seconds or later"));
    }
    Ok(Segment {
        speaker: check::name("speaker", &segment.speaker)?,
        start_secs: segment.start_secs,
        content: passage("text", &segment.content, MAX_SEGMENT_CHARS)?,
    })
}

fn title(text: &str) -> Result<String, Error> {
    let title = check::line("title", text, MAX_TITLE_CHARS)?;
    if title.is_empty() {
        return Err(Error::invalid(
            "title",
            "empty",
            format!("a title has 1 to {MAX_TITLE_CHARS} characters"),
        ));
    }
    Ok(title)
}

fn participants(names: &[String]) -> Result<Vec<String>, Error> {
    at_most("participants", names.len(), MAX_PARTICIPANTS)?;
    names.iter().map(|name| check::name("participants", name)).collect()
}

fn action_items(items: &[String]) -> Result<Vec<String>, Error> {
    at_most("action_items", items.len(), MAX_ACTION_ITEMS)?;
    items.iter().map(|item| action_item(item)).collect()
}

fn action_item(text: &str) -> Result<String, Error> {
    let item = passage("action_items", text, MAX_ACTION_ITEM_CHARS)?;
    if item.is_empty() {
        return Err(Error::invalid("action_items", "empty", "an action item says something"));
    }
    Ok(item)
}

fn at_most(field: &'static str, count: usize, most: usize) -> Result<(), Error> {
    if count > most {
        return Err(Error::invalid(field, "too_many", format!("there are {count}; {most} at most")));
    }
    Ok(())
}

/// A text that may have several lines, trimmed, and may be empty.
fn passage(field: &'static str, text: &str, most: usize) -> Result<String, Error> {
    let text = text.trim();
    let count = text.chars().count();
    if count > most {
        return Err(Error::invalid(field, "too_long", format!("it has {count} characters; {most} at most")));
    }
    if text.chars().any(|char| char.is_control() && !matches!(char, '\n' | '\r' | '\t')) {
        let detail = "control characters other than line breaks and tabs are not allowed";
        return Err(Error::invalid(field, "control_character", detail));
    }
    Ok(text.to_owned())
}

/// The conversations within the actor's reach, the one that started last first. A list that is narrowed to a team would
/// tell who is in it: a team that the actor may not read is as good as unknown, and narrows the list to nothing.
///
/// # Errors
///
/// Without `conversations:read`, and for a search text that is not well formed.
pub fn list(
    workspace: &Workspace,
    actor: &Principal,
    filter: &Filter,
    page: &Page<Cursor>,
) -> Result<Vec<Conversation>, Error> {
    let reach = reach(actor, catalogue::CONVERSATIONS_READ)?;
    if let Some(text) = &filter.q {
        check::line("q", text, MAX_SEARCH_CHARS)?;
    }
    workspace.read(|tx| {
        if let Some(team) = filter.team
            && !may_read_team(tx, actor, team)?
        {
            return Ok(vec![]);
        }
        Ok(conversations::list(tx, &reach, filter, page)?)
    })
}

fn may_read_team(tx: &mut Tx<'_>, actor: &Principal, team: TeamId) -> Result<bool, Error> {
    let Some(reach) = actor.reach(&catalogue::TEAMS_READ) else { return Ok(false) };
    Ok(teams::find(tx, &reach, team)?.is_some())
}

/// One conversation.
///
/// # Errors
///
/// Without `conversations:read`, and when there is no such conversation within reach.
pub fn find(workspace: &Workspace, actor: &Principal, id: ConversationId) -> Result<Conversation, Error> {
    let reach = reach(actor, catalogue::CONVERSATIONS_READ)?;
    workspace.read(|tx| conversations::find(tx, &reach, id)?.ok_or(Error::NotFound))
}

/// A conversation that the same request made before: creating is allowed without `conversations:read`, and so is being
/// told again.
///
/// # Errors
///
/// Without `conversations:create`, and when it is beyond its reach or not there any more.
pub fn find_created(
    workspace: &Workspace,
    actor: &Principal,
    id: ConversationId,
) -> Result<Conversation, Error> {
    let reach = reach(actor, catalogue::CONVERSATIONS_CREATE)?;
    workspace.read(|tx| conversations::find(tx, &reach, id)?.ok_or(Error::NotFound))
}

/// A part of a conversation's transcript, each segment with its position.
///
/// # Errors
///
/// As [`find`].
pub fn transcript(
    workspace: &Workspace,
    actor: &Principal,
    id: ConversationId,
    page: &Page<i64>,
) -> Result<Vec<(i64, Segment)>, Error> {
    let reach = reach(actor, catalogue::CONVERSATIONS_READ)?;
    workspace.read(|tx| {
        conversations::find(tx, &reach, id)?.ok_or(Error::NotFound)?;
        Ok(conversations::segments(tx, id, page)?)
    })
}

/// Changes a conversation's title, summary, participants or action items.
///
/// # Errors
///
/// Without `conversations:update`; when there is no such conversation within reach; when it was changed since `seen`;
/// for what is not well formed.
pub fn change(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: ConversationId,
    change: &ConversationChange,
    seen: Option<Version>,
) -> Result<Conversation, Error> {
    let reach = reach(actor, catalogue::CONVERSATIONS_UPDATE)?;
    workspace.write(|tx| {
        let mut conversation = current(tx, &reach, id, seen)?;
        apply(&mut conversation, change)?;
        if !conversations::update(tx, &conversation)? {
            return Err(Error::Stale);
        }
        conversation.version = conversation.version.next();
        note(tx, actor, occasion, "conversation.changed", &conversation)?;
        Ok(conversation)
    })
}

fn apply(conversation: &mut Conversation, change: &ConversationChange) -> Result<(), Error> {
    if let Some(text) = &change.title {
        conversation.title = title(text)?;
    }
    if let Some(text) = &change.summary {
        conversation.summary = passage("summary", text, MAX_SUMMARY_CHARS)?;
    }
    if let Some(names) = &change.participants {
        conversation.participants = participants(names)?;
    }
    if let Some(items) = &change.action_items {
        conversation.action_items = action_items(items)?;
    }
    Ok(())
}

/// Deletes a conversation and its transcript for good.
///
/// # Errors
///
/// Without `conversations:delete`; when there is no such conversation within reach; when it was changed since `seen`.
pub fn delete(
    workspace: &Workspace,
    actor: &Principal,
    occasion: &Occasion,
    id: ConversationId,
    seen: Option<Version>,
) -> Result<Conversation, Error> {
    let reach = reach(actor, catalogue::CONVERSATIONS_DELETE)?;
    workspace.write(|tx| {
        let conversation = current(tx, &reach, id, seen)?;
        if !conversations::delete(tx, id, conversation.version)? {
            return Err(Error::Stale);
        }
        note(tx, actor, occasion, "conversation.deleted", &conversation)?;
        Ok(conversation)
    })
}

fn current(
    tx: &mut Tx<'_>,
    reach: &Reach,
    id: ConversationId,
    seen: Option<Version>,
) -> Result<Conversation, Error> {
    let found = conversations::find(tx, reach, id)?.ok_or(Error::NotFound)?;
    match seen {
        Some(version) if version != found.version => Err(Error::Stale),
        Some(_) | None => Ok(found),
    }
}

fn note(
    tx: &mut Tx<'_>,
    actor: &Principal,
    occasion: &Occasion,
    what: &str,
    conversation: &Conversation,
) -> Result<(), Error> {
    let detail = json!({ "title": conversation.title });
    audit::note(tx, actor, occasion, what, &conversation.id, &detail)
}
