//! Conversations, as actors with different reaches see them.

use harmony_access::{ConversationId, Id, Kind, Principal, Timestamp, UserId, UserRecord, WorkspaceId};
use harmony_permission::{Permission, PermissionSet};
use harmony_store::{
    Page, StoreError, Version, audit,
    conversations::{Conversation, Filter, Segment},
    roles,
    teams::{self, Team},
    users::{self, User},
    workspaces,
};
use harmony_workspace::{
    Error, Occasion, Once, Workspace,
    conversations::{self, ConversationChange, NewConversation},
    setup,
};

use crate::backend::{Database, on_both};

on_both!(
    what_was_added_is_found_and_told_to_the_audit_log,
    each_reach_sees_its_own_part_and_no_more,
    without_a_permission_nothing_is_told,
    filters_narrow_within_the_reach,
    a_team_that_one_may_not_read_narrows_a_list_to_nothing,
    pages_hold_each_conversation_once_while_others_are_added,
    an_owner_is_named_within_the_reach_of_creating,
    everything_has_its_bounds,
);

const ACTIONS: [&str; 4] = ["create", "read", "update", "delete"];

struct House {
    workspace: Workspace,
    id: WorkspaceId,
    admin: UserId,
    mate: UserId,
    stranger: UserId,
    team: harmony_access::TeamId,
    elsewhere: (WorkspaceId, UserId),
    _database: Database,
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

fn occasion() -> Occasion {
    Occasion { now: at(1_700_000_000_000), client: None, request_id: None }
}

fn id<K: Kind>(number: u8) -> Id<K> {
    Id::new(at(1_700_000_000_000), [number; 10])
}

/// A workspace of three people, two of whom share a team, and another workspace with one.
fn house(database: Database) -> House {
    let workspace = database.workspace.clone();
    let new = setup::NewWorkspace { name: "Acme", user_name: "Ann", email: "ann@acme.test", password: None };
    let (ours, admin) = setup::create(&workspace, &occasion(), &new).unwrap();
    let (mate, stranger, team, other, outsider) = (id(1), id(2), id(3), id(4), id(5));
    workspace
        .store()
        .write(|tx| {
            let mut role = roles::list(tx, ours, &Page { after: None, limit: 1 })?.remove(0);
            let mut their = workspaces::find(tx, ours)?.unwrap();
            for (number, user) in [mate, stranger].into_iter().enumerate() {
                users::insert(tx, &person(user, ours, role.id, &format!("{number}@acme.test")), None)?;
            }
            let created_at = at(0);
            let name = "Sales".to_owned();
            teams::insert(
                tx,
                &Team { id: team, workspace: ours, name, version: Version::FIRST, created_at },
            )?;
            teams::add_user(tx, team, admin)?;
            teams::add_user(tx, team, mate)?;
            their.id = other;
            workspaces::insert(tx, &their)?;
            role.id = id(6);
            role.workspace = other;
            roles::insert(tx, &role)?;
            users::insert(tx, &person(outsider, other, role.id, "out@side.test"), None)
        })
        .unwrap();
    let elsewhere = (other, outsider);
    House { workspace, id: ours, admin, mate, stranger, team, elsewhere, _database: database }
}

fn person(id: UserId, workspace: WorkspaceId, role: harmony_access::RoleId, email: &str) -> User {
    let (email, name) = (email.to_owned(), "Somebody".to_owned());
    User { id, workspace, role, email, name, version: Version::FIRST, created_at: at(0) }
}

/// The user, who may do everything with conversations at this scope.
fn actor(workspace: WorkspaceId, user: UserId, scope: &str) -> Principal {
    let permissions: PermissionSet = ACTIONS
        .iter()
        .map(|action| Permission::parse(&format!("conversations:{action}:{scope}")).unwrap())
        .collect();
    Principal::of_user(UserRecord { id: user, workspace, permissions, session: None })
}

impl House {
    fn of(&self, user: UserId, scope: &str) -> Principal {
        actor(self.id, user, scope)
    }

    fn add(&self, actor: &Principal, new: &NewConversation) -> Result<Conversation, Error> {
        match conversations::create(&self.workspace, actor, &occasion(), new, None)? {
            Once::Made(made) => Ok(made),
            Once::Repeated(id) => panic!("{id} was not repeated"),
        }
    }

    fn titles(&self, actor: &Principal, filter: &Filter) -> Vec<String> {
        let page = Page { after: None, limit: 100 };
        let found = conversations::list(&self.workspace, actor, filter, &page).unwrap();
        found.into_iter().map(|conversation| conversation.title).collect()
    }

    /// One conversation of each person, in both workspaces.
    fn fill(&self) -> [ConversationId; 3] {
        let outside = actor(self.elsewhere.0, self.elsewhere.1, "own");
        self.add(&outside, &talk("outside", 9)).unwrap();
        [("ann", self.admin), ("mate", self.mate), ("stranger", self.stranger)]
            .map(|(title, user)| self.add(&self.of(user, "own"), &talk(title, 5)).unwrap().id)
    }
}

fn talk(title: &str, started_at: i64) -> NewConversation {
    let segment = |text: &str| Segment { speaker: "Ann".into(), start_secs: 1.5, content: text.into() };
    NewConversation {
        owner: None,
        title: title.to_owned(),
        started_at: at(started_at),
        duration_secs: 60,
        participants: vec!["Ann".to_owned(), "Bob, \"the\" builder".to_owned()],
        summary: "100% of it".to_owned(),
        action_items: vec!["Call back".to_owned()],
        segments: vec![segment("one"), segment("two"), segment("three")],
    }
}

fn sorted(mut titles: Vec<String>) -> Vec<String> {
    titles.sort();
    titles
}

fn is_not_found<T: std::fmt::Debug>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::NotFound))
}

fn what_was_added_is_found_and_told_to_the_audit_log(database: Database) {
    let house = house(database);
    let ann = house.of(house.admin, "own");
    let made = house.add(&ann, &talk("Kick-off", 7)).unwrap();
    let expected = Conversation {
        id: made.id,
        workspace: house.id,
        owner: house.admin,
        title: "Kick-off".to_owned(),
        started_at: at(7),
        duration_secs: 60,
        participants: talk("", 0).participants,
        summary: "100% of it".to_owned(),
        action_items: vec!["Call back".to_owned()],
        version: Version::FIRST,
        created_at: occasion().now,
    };
    assert_eq!(conversations::find(&house.workspace, &ann, made.id).unwrap(), expected);
    let rest = Page { after: Some(0), limit: 1 };
    let segments = conversations::transcript(&house.workspace, &ann, made.id, &rest).unwrap();
    assert_eq!(segments, [(1, talk("", 0).segments[1].clone())]);

    let change = ConversationChange { title: Some("Renamed".to_owned()), ..Default::default() };
    let changed =
        conversations::change(&house.workspace, &ann, &occasion(), made.id, &change, Some(made.version))
            .unwrap();
    let renamed = Conversation { title: "Renamed".to_owned(), version: Version::new(2), ..expected };
    assert_eq!(changed, renamed);
    let again =
        conversations::change(&house.workspace, &ann, &occasion(), made.id, &change, Some(made.version));
    assert!(matches!(again, Err(Error::Stale)));
    let stale = conversations::delete(&house.workspace, &ann, &occasion(), made.id, Some(made.version));
    assert!(matches!(stale, Err(Error::Stale)));
    assert_eq!(conversations::delete(&house.workspace, &ann, &occasion(), made.id, None).unwrap(), renamed);
    assert!(is_not_found(conversations::find(&house.workspace, &ann, made.id)));

    let only = audit::Filter { subject: Some(made.id.to_string()), ..Default::default() };
    let events = house
        .workspace
        .store()
        .read(|tx| audit::list(tx, house.id, &only, &Page { after: None, limit: 9 }))
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let told = events.into_iter().map(|event| format!("{} {}", event.action, event.detail)).collect();
    assert_eq!(
        sorted(told),
        [
            r#"conversation.changed {"title":"Renamed"}"#,
            r#"conversation.created {"title":"Kick-off"}"#,
            r#"conversation.deleted {"title":"Renamed"}"#,
        ]
    );
}

fn each_reach_sees_its_own_part_and_no_more(database: Database) {
    let house = house(database);
    let [anns, mates, strangers] = house.fill();
    let seen = |scope| sorted(house.titles(&house.of(house.admin, scope), &Filter::default()));
    assert_eq!(seen("own"), ["ann"]);
    assert_eq!(seen("team"), ["ann", "mate"]);
    assert_eq!(seen("all"), ["ann", "mate", "stranger"]);

    let outside = actor(house.elsewhere.0, house.elsewhere.1, "all");
    let change = ConversationChange::default();
    let page = Page { after: None, limit: 9 };
    for (who, id) in [
        (house.of(house.admin, "own"), mates),
        (house.of(house.admin, "team"), strangers),
        (outside.clone(), anns),
    ] {
        assert!(is_not_found(conversations::find(&house.workspace, &who, id)));
        assert!(is_not_found(conversations::transcript(&house.workspace, &who, id, &page)));
        assert!(is_not_found(conversations::change(&house.workspace, &who, &occasion(), id, &change, None)));
        assert!(is_not_found(conversations::delete(&house.workspace, &who, &occasion(), id, None)));
    }
    assert_eq!(house.titles(&outside, &Filter::default()), ["outside"]);
}

fn without_a_permission_nothing_is_told(database: Database) {
    let house = house(database);
    let nobody = Principal::of_user(UserRecord {
        id: house.admin,
        workspace: house.id,
        permissions: PermissionSet::none(),
        session: None,
    });
    let page = Page { after: None, limit: 9 };
    let listed = conversations::list(&house.workspace, &nobody, &Filter::default(), &page);
    assert!(
        matches!(listed, Err(Error::Forbidden { required, .. }) if required.to_string() == "conversations:read:own")
    );
    let made = house.add(&nobody, &talk("mine", 1));
    assert!(
        matches!(made, Err(Error::Forbidden { required, .. }) if required.to_string() == "conversations:create:own")
    );
}

fn filters_narrow_within_the_reach(database: Database) {
    let house = house(database);
    house.fill();
    house.add(&house.of(house.admin, "own"), &talk("later, 100 percent_", 8)).unwrap();
    let all = setup::operator(house.id, house.admin);
    let seen = |filter: &Filter| sorted(house.titles(&all, filter));
    let none = Filter::default;
    assert_eq!(seen(&Filter { owner: Some(house.mate), ..none() }), ["mate"]);
    assert_eq!(seen(&Filter { owner: Some(house.elsewhere.1), ..none() }), [""; 0]);
    assert_eq!(seen(&Filter { team: Some(house.team), ..none() }), ["ann", "later, 100 percent_", "mate"]);
    assert_eq!(seen(&Filter { from: Some(at(8)), ..none() }), ["later, 100 percent_"]);
    assert_eq!(seen(&Filter { to: Some(at(8)), ..none() }), ["ann", "mate", "stranger"]);
    assert_eq!(seen(&Filter { q: Some("percent_".to_owned()), ..none() }), ["later, 100 percent_"]);
    assert_eq!(seen(&Filter { q: Some("_nn".to_owned()), ..none() }), [""; 0]);
    assert_eq!(seen(&Filter { q: Some("100%".to_owned()), ..none() }).len(), 4, "the summary counts");
    let others = Filter { owner: Some(house.mate), ..none() };
    assert_eq!(house.titles(&house.of(house.admin, "own"), &others), [""; 0]);
    let outside = actor(house.elsewhere.0, house.elsewhere.1, "all");
    assert_eq!(house.titles(&outside, &Filter { team: Some(house.team), ..none() }), [""; 0]);
}

fn a_team_that_one_may_not_read_narrows_a_list_to_nothing(database: Database) {
    let house = house(database);
    house.fill();
    // Her mate is in another team too, which is none of Ann's business.
    let theirs = id(7);
    house
        .workspace
        .store()
        .write(|tx| {
            let (workspace, name) = (house.id, "Board".to_owned());
            teams::insert(
                tx,
                &Team { id: theirs, workspace, name, version: Version::FIRST, created_at: at(0) },
            )?;
            teams::add_user(tx, theirs, house.mate)?;
            teams::add_user(tx, theirs, house.stranger)
        })
        .unwrap_or_else(|error: StoreError| panic!("{error}"));
    let seen = |reads: &str, team| {
        let both = ["conversations:read:all", reads].map(|text| Permission::parse(text).unwrap());
        let permissions = PermissionSet::from_iter(both);
        let ann = UserRecord { id: house.admin, workspace: house.id, permissions, session: None };
        let filter = Filter { team: Some(team), ..Default::default() };
        sorted(house.titles(&Principal::of_user(ann), &filter))
    };
    let unknown = id(8);
    for reads in ["users:read:all", "teams:read:own", "teams:read:team", "teams:read:all"] {
        assert_eq!(seen(reads, unknown), [""; 0], "{reads}");
    }
    assert_eq!(seen("users:read:all", house.team), [""; 0]);
    assert_eq!(seen("teams:read:own", house.team), ["ann", "mate"]);
    assert_eq!(seen("teams:read:team", house.team), ["ann", "mate"]);
    assert_eq!(seen("users:read:all", theirs), [""; 0]);
    assert_eq!(seen("teams:read:own", theirs), [""; 0]);
    assert_eq!(seen("teams:read:team", theirs), [""; 0]);
    assert_eq!(seen("teams:read:all", theirs), ["mate", "stranger"]);
}

fn pages_hold_each_conversation_once_while_others_are_added(database: Database) {
    let house = house(database);
    for number in 0..9 {
        let owner = if number % 2 == 0 { house.admin } else { house.mate };
        house.add(&house.of(owner, "own"), &talk(&format!("talk {number}"), number / 4)).unwrap();
    }
    let mut newest = 100;
    for scope in ["own", "team", "all"] {
        let ann = house.of(house.admin, scope);
        let whole = house.titles(&ann, &Filter::default());
        let (mut paged, mut after) = (Vec::new(), None);
        loop {
            let page = Page { after, limit: 2 };
            let part = conversations::list(&house.workspace, &ann, &Filter::default(), &page).unwrap();
            let Some(last) = part.last() else { break };
            after = Some((last.started_at, last.id));
            paged.extend(part.into_iter().map(|conversation| conversation.title));
            newest += 1;
            house.add(&ann, &talk(&format!("newer {newest}"), newest)).unwrap();
        }
        assert_eq!(paged, whole, "{scope}");
    }
}

fn an_owner_is_named_within_the_reach_of_creating(database: Database) {
    let house = house(database);
    let make = |scope, owner| {
        let new = NewConversation { owner: Some(owner), ..talk("for", 1) };
        match house.add(&house.of(house.admin, scope), &new) {
            Ok(made) => made.owner == owner,
            Err(Error::Invalid(errors)) if (errors[0].field, errors[0].code) == ("owner", "unknown") => false,
            Err(other) => panic!("{other}"),
        }
    };
    assert!(make("own", house.admin));
    assert!(!make("own", house.mate));
    assert!(make("team", house.mate));
    assert!(!make("team", house.stranger));
    assert!(make("all", house.stranger));
    assert!(!make("all", house.elsewhere.1));
}

fn everything_has_its_bounds(database: Database) {
    let house = house(database);
    let ann = house.of(house.admin, "own");
    let refused = |spoil: &dyn Fn(&mut NewConversation)| {
        let mut new = talk("bounds", 1);
        spoil(&mut new);
        match house.add(&ann, &new) {
            Ok(_) => ("", "fine"),
            Err(Error::Invalid(errors)) => (errors[0].field, errors[0].code),
            Err(other) => panic!("{other}"),
        }
    };
    let fine = ("", "fine");
    assert_eq!(refused(&|new| new.title = "é".repeat(200)), fine);
    assert_eq!(refused(&|new| new.title = "é".repeat(201)), ("title", "too_long"));
    assert_eq!(refused(&|new| new.title = " ".to_owned()), ("title", "empty"));
    assert_eq!(refused(&|new| new.started_at = at(-1)), ("started_at", "out_of_range"));
    assert_eq!(refused(&|new| new.started_at = at(253_402_300_800_000)), ("started_at", "out_of_range"));
    assert_eq!(refused(&|new| new.started_at = at(253_402_300_799_999)), fine);
    assert_eq!(refused(&|new| new.duration_secs = 604_800), fine);
    assert_eq!(refused(&|new| new.duration_secs = 604_801), ("duration_secs", "out_of_range"));
    assert_eq!(refused(&|new| new.duration_secs = -1), ("duration_secs", "out_of_range"));
    assert_eq!(refused(&|new| new.participants = vec!["a".to_owned(); 100]), fine);
    assert_eq!(refused(&|new| new.participants = vec!["a".to_owned(); 101]), ("participants", "too_many"));
    assert_eq!(refused(&|new| new.summary = "a\nb".repeat(6_666)), fine);
    assert_eq!(refused(&|new| new.summary = "a".repeat(20_001)), ("summary", "too_long"));
    assert_eq!(refused(&|new| new.summary = "a\0b".to_owned()), ("summary", "control_character"));
    assert_eq!(refused(&|new| new.action_items = vec!["a".to_owned(); 201]), ("action_items", "too_many"));
    assert_eq!(refused(&|new| new.action_items = vec!["a".repeat(1_001)]), ("action_items", "too_long"));
    assert_eq!(refused(&|new| new.segments[0].start_secs = 0.0), fine);
    assert_eq!(refused(&|new| new.segments[0].start_secs = f64::NAN), ("start_secs", "out_of_range"));
    assert_eq!(refused(&|new| new.segments[0].start_secs = -0.1), ("start_secs", "out_of_range"));
    assert_eq!(refused(&|new| new.segments[2].speaker = String::new()), ("speaker", "empty"));
    assert_eq!(refused(&|new| new.segments[2].content = "a".repeat(10_001)), ("text", "too_long"));
    let many = |new: &mut NewConversation| new.segments = vec![new.segments[0].clone(); 10_001];
    assert_eq!(refused(&many), ("segments", "too_many"));
}
