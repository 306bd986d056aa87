//! Conversations and their transcripts.

use std::collections::BTreeSet;

use diesel::prelude::*;
use harmony_access::{
    ConversationId, ConversationKind, Reach, TeamId, Timestamp, UserId, UserKind, WorkspaceId, WorkspaceKind,
};

use crate::{
    Page, StoreError, Tx, Version,
    columns::{IdText, Millis, Texts, VersionNumber},
    connection::AnyConnection,
    reach,
    schema::{conversations, team_users, teams, transcript_segments},
};

/// Up to this many owners, a list is merged from one walk of the index for each of them. Beyond it the index of the
/// whole workspace is walked: so many people own a good part of it, and a page is soon full.
const MAX_MERGED_OWNERS: usize = 64;
/// The most people of a team that a filter takes in.
const MAX_TEAM: i64 = 10_000;

/// A conversation: everything but its transcript.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = conversations)]
pub struct Conversation {
    /// Its id.
    #[diesel(deserialize_as = IdText<ConversationKind>)]
    pub id: ConversationId,
    /// Its workspace.
    #[diesel(deserialize_as = IdText<WorkspaceKind>, column_name = workspace_id)]
    pub workspace: WorkspaceId,
    /// The user it belongs to.
    #[diesel(deserialize_as = IdText<UserKind>, column_name = owner_id)]
    pub owner: UserId,
    /// Its title.
    pub title: String,
    /// When it started.
    #[diesel(deserialize_as = Millis)]
    pub started_at: Timestamp,
    /// How long it took, in seconds.
    pub duration_secs: i64,
    /// The names of those who took part.
    #[diesel(deserialize_as = Texts)]
    pub participants: Vec<String>,
    /// What it was about.
    pub summary: String,
    /// What is to be done.
    #[diesel(deserialize_as = Texts)]
    pub action_items: Vec<String>,
    /// How often it was changed.
    #[diesel(deserialize_as = VersionNumber)]
    pub version: Version,
    /// When it was added.
    #[diesel(deserialize_as = Millis)]
    pub created_at: Timestamp,
}

/// A part of a transcript: what one person said.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable)]
#[diesel(table_name = transcript_segments)]
pub struct Segment {
    /// Who.
    pub speaker: String,
    /// From when on, in seconds since the start.
    pub start_secs: f64,
    /// What.
    pub content: String,
}

/// What a list of conversations may be narrowed to.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Those of this user.
    pub owner: Option<UserId>,
    /// Those of anyone in this team.
    pub team: Option<TeamId>,
    /// Those that started then or later.
    pub from: Option<Timestamp>,
    /// Those that started before.
    pub to: Option<Timestamp>,
    /// Those with this text in their title or summary, in whatever case.
    pub q: Option<String>,
}

/// Where a list ended: when the last conversation started, and its id.
pub type Cursor = (Timestamp, ConversationId);

type Query<'a> = conversations::BoxedQuery<'a, <AnyConnection as Connection>::Backend>;

/// Adds a conversation and its transcript; the positions of the segments count from 0.
///
/// # Errors
///
/// [`StoreError::Referenced`] when its owner does not exist.
pub fn insert(tx: &mut Tx<'_>, new: &Conversation, segments: &[Segment]) -> Result<(), StoreError> {
    diesel::insert_into(conversations::table)
        .values((
            conversations::id.eq(new.id.to_string()),
            conversations::workspace_id.eq(new.workspace.to_string()),
            conversations::owner_id.eq(new.owner.to_string()),
            conversations::title.eq(&new.title),
            conversations::started_at.eq(new.started_at.as_millis()),
            conversations::duration_secs.eq(new.duration_secs),
            conversations::participants.eq(json(&new.participants)),
            conversations::summary.eq(&new.summary),
            conversations::action_items.eq(json(&new.action_items)),
            conversations::version.eq(new.version.number()),
            conversations::created_at.eq(new.created_at.as_millis()),
        ))
        .execute(tx.connection)?;
    let id = new.id.to_string();
    for (position, segment) in (0_i64..).zip(segments) {
        diesel::insert_into(transcript_segments::table)
            .values((
                transcript_segments::conversation_id.eq(&id),
                transcript_segments::position.eq(position),
                transcript_segments::speaker.eq(&segment.speaker),
                transcript_segments::start_secs.eq(segment.start_secs),
                transcript_segments::content.eq(&segment.content),
            ))
            .execute(tx.connection)?;
    }
    Ok(())
}

fn json(texts: &[String]) -> String {
    serde_json::Value::from(texts).to_string()
}

/// The conversation with this id within `reach`.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn find(tx: &mut Tx<'_>, reach: &Reach, id: ConversationId) -> Result<Option<Conversation>, StoreError> {
    let mut query = conversations::table
        .filter(conversations::id.eq(id.to_string()))
        .filter(conversations::workspace_id.eq(reach.workspace().to_string()))
        .select(Conversation::as_select())
        .into_boxed();
    if let Some(user) = reach.own() {
        query = query.filter(conversations::owner_id.eq(user.to_string()));
    }
    if let Some(user) = reach.team() {
        query = query.filter(conversations::owner_id.eq_any(reach::teammates(tx, user)?));
    }
    Ok(query.first(tx.connection).optional()?)
}

/// The conversations within `reach`, the one that started last first.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn list(
    tx: &mut Tx<'_>,
    reach: &Reach,
    filter: &Filter,
    page: &Page<Cursor>,
) -> Result<Vec<Conversation>, StoreError> {
    let workspace = reach.workspace().to_string();
    match owners(tx, reach, filter)? {
        None => load(tx, newest(filter, page).filter(conversations::workspace_id.eq(workspace))),
        Some(owners) if owners.len() <= MAX_MERGED_OWNERS => merged(tx, &workspace, &owners, filter, page),
        Some(owners) => {
            // An expression instead of the column, so that SQLite walks the other index and need not sort.
            let theirs = conversations::owner_id.concat("").eq_any(owners);
            load(tx, newest(filter, page).filter(conversations::workspace_id.eq(workspace)).filter(theirs))
        }
    }
}

/// Whose conversations are wanted and within reach; `None` is everybody's in the workspace.
fn owners(tx: &mut Tx<'_>, reach: &Reach, filter: &Filter) -> Result<Option<BTreeSet<String>>, StoreError> {
    let mut owners = None;
    if let Some(user) = reach.own() {
        owners = Some(narrowed(owners, vec![user.to_string()]));
    }
    if let Some(user) = reach.team() {
        owners = Some(narrowed(owners, reach::teammates(tx, user)?));
    }
    if let Some(owner) = filter.owner {
        owners = Some(narrowed(owners, vec![owner.to_string()]));
    }
    if let Some(team) = filter.team {
        owners = Some(narrowed(owners, members(tx, reach.workspace(), team)?));
    }
    Ok(owners)
}

fn narrowed(before: Option<BTreeSet<String>>, to: Vec<String>) -> BTreeSet<String> {
    to.into_iter().filter(|owner| before.as_ref().is_none_or(|before| before.contains(owner))).collect()
}

fn members(tx: &mut Tx<'_>, workspace: WorkspaceId, team: TeamId) -> Result<Vec<String>, StoreError> {
    let query = team_users::table
        .inner_join(teams::table)
        .filter(teams::workspace_id.eq(workspace.to_string()))
        .filter(teams::id.eq(team.to_string()))
        .select(team_users::user_id)
        .limit(MAX_TEAM);
    Ok(query.load(tx.connection)?)
}

fn merged(
    tx: &mut Tx<'_>,
    workspace: &str,
    owners: &BTreeSet<String>,
    filter: &Filter,
    page: &Page<Cursor>,
) -> Result<Vec<Conversation>, StoreError> {
    let mut keys: Vec<(i64, String)> = Vec::new();
    for owner in owners {
        // An expression instead of the column, so that SQLite walks the owner's index and not the workspace's.
        let here = conversations::workspace_id.concat("").eq(workspace);
        let theirs = newest(filter, page).filter(conversations::owner_id.eq(owner)).filter(here);
        keys.extend(theirs.select((conversations::started_at, conversations::id)).load(tx.connection)?);
    }
    keys.sort_unstable_by(|one, other| other.cmp(one));
    keys.truncate(usize::try_from(page.limit).unwrap_or(usize::MAX));
    // Whole rows only for what is wanted of all that was walked.
    let ids = keys.into_iter().map(|(_, id)| id);
    let newest_first = (conversations::started_at.desc(), conversations::id.desc());
    load(tx, conversations::table.filter(conversations::id.eq_any(ids)).order(newest_first).into_boxed())
}

fn newest<'a>(filter: &Filter, page: &Page<Cursor>) -> Query<'a> {
    let mut query = conversations::table
        .order((conversations::started_at.desc(), conversations::id.desc()))
        .limit(i64::from(page.limit))
        .into_boxed();
    if let Some(from) = filter.from {
        query = query.filter(conversations::started_at.ge(from.as_millis()));
    }
    if let Some(to) = filter.to {
        query = query.filter(conversations::started_at.lt(to.as_millis()));
    }
    if let Some(text) = &filter.q {
        let pattern = reach::containing(text);
        let pattern = || reach::lower(pattern.clone());
        let in_title = reach::lower(conversations::title).like(pattern()).escape('\\');
        query = query.filter(in_title.or(reach::lower(conversations::summary).like(pattern()).escape('\\')));
    }
    if let Some((at, id)) = page.after {
        let at = at.as_millis();
        let before = conversations::started_at.lt(at).or(conversations::id.lt(id.to_string()));
        query = query.filter(conversations::started_at.le(at)).filter(before);
    }
    query
}

fn load(tx: &mut Tx<'_>, query: Query<'_>) -> Result<Vec<Conversation>, StoreError> {
    Ok(query.select(Conversation::as_select()).load(tx.connection)?)
}

/// A part of the transcript of a conversation that the caller has found within reach, each segment with its position.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn segments(
    tx: &mut Tx<'_>,
    id: ConversationId,
    page: &Page<i64>,
) -> Result<Vec<(i64, Segment)>, StoreError> {
    let query = transcript_segments::table
        .filter(transcript_segments::conversation_id.eq(id.to_string()))
        .filter(transcript_segments::position.gt(page.after.unwrap_or(-1)))
        .order(transcript_segments::position.asc())
        .limit(i64::from(page.limit))
        .select((transcript_segments::position, Segment::as_select()));
    Ok(query.load(tx.connection)?)
}

/// Writes the changeable columns of a conversation that still has the version before; `false` when it has not.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn update(tx: &mut Tx<'_>, changed: &Conversation) -> Result<bool, StoreError> {
    let unchanged = conversations::table
        .filter(conversations::id.eq(changed.id.to_string()))
        .filter(conversations::version.eq(changed.version.number()));
    let rows = diesel::update(unchanged)
        .set((
            conversations::title.eq(&changed.title),
            conversations::participants.eq(json(&changed.participants)),
            conversations::summary.eq(&changed.summary),
            conversations::action_items.eq(json(&changed.action_items)),
            conversations::version.eq(changed.version.next().number()),
        ))
        .execute(tx.connection)?;
    Ok(rows == 1)
}

/// Removes a conversation that still has this version, and its transcript; `false` when it has not.
///
/// # Errors
///
/// When the database cannot be asked.
pub fn delete(tx: &mut Tx<'_>, id: ConversationId, version: Version) -> Result<bool, StoreError> {
    let unchanged = conversations::table
        .filter(conversations::id.eq(id.to_string()))
        .filter(conversations::version.eq(version.number()));
    Ok(diesel::delete(unchanged).execute(tx.connection)? == 1)
}
