//! Conversations and their transcripts.

use harmony_store::{
    StoreError, Version,
    conversations::{self, Conversation, Filter, Segment},
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    a_conversation_reads_back_with_its_transcript_in_order,
    a_conversation_is_changed_and_removed_only_from_the_version_that_was_seen,
    a_reach_shows_its_conversations_and_no_others,
    a_list_is_narrowed_by_people_time_and_text_in_any_case,
);

fn a_conversation_reads_back_with_its_transcript_in_order(db: &Database) {
    furnish(&db.store);
    let spoken = conversation(51, HERE, ANN);
    let segments: Vec<Segment> = (0..5)
        .map(|n| Segment {
            speaker: format!("s{n}"),
            start_secs: f64::from(n) + 0.25,
            content: "é".to_owned(),
        })
        .collect();
    write(&db.store, |tx| conversations::insert(tx, &spoken, &segments));
    read(&db.store, |tx| {
        assert_eq!(conversations::find(tx, &reach(HERE, ANN, "own"), spoken.id)?, Some(spoken.clone()));
        let first = conversations::segments(tx, spoken.id, &page(None, 2))?;
        assert_eq!(first, [(0, segments[0].clone()), (1, segments[1].clone())]);
        let rest = conversations::segments(tx, spoken.id, &page(Some(1), 50))?;
        assert_eq!(rest.iter().map(|(position, _)| *position).collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(conversations::segments(tx, id(52), &page(None, 50))?, []);
        Ok(())
    });
    let insert = |new: Conversation| db.store.write(|tx| conversations::insert(tx, &new, &[]));
    assert!(matches!(insert(conversation(52, HERE, 99)), Err(StoreError::Referenced(_))));
    assert!(matches!(insert(spoken), Err(StoreError::Taken(_))));
}

fn a_conversation_is_changed_and_removed_only_from_the_version_that_was_seen(db: &Database) {
    furnish(&db.store);
    let seen = conversation(51, HERE, ANN);
    let said = Segment { speaker: "Ann".to_owned(), start_secs: 0.0, content: "hello".to_owned() };
    write(&db.store, |tx| conversations::insert(tx, &seen, &[said]));
    let wanted = Conversation {
        title: "renamed".to_owned(),
        participants: vec![],
        summary: String::new(),
        action_items: vec!["call\nback".to_owned()],
        ..seen.clone()
    };
    assert!(write(&db.store, |tx| conversations::update(tx, &wanted)));
    assert!(!write(&db.store, |tx| conversations::update(tx, &seen)));
    let now = Conversation { version: seen.version.next(), ..wanted };
    let found = || read(&db.store, |tx| conversations::find(tx, &reach(HERE, ANN, "all"), seen.id));
    assert_eq!(found(), Some(now));
    let delete = |version| write(&db.store, |tx| conversations::delete(tx, seen.id, version));
    assert_eq!(
        (delete(Version::FIRST), delete(Version::new(2)), delete(Version::new(2))),
        (false, true, false)
    );
    assert_eq!(found(), None);
    assert_eq!(read(&db.store, |tx| conversations::segments(tx, seen.id, &page(None, 9))), []);
}

fn seed(db: &Database) {
    furnish(&db.store);
    let all = [(51, HERE, ANN), (52, HERE, BOB), (53, HERE, CYD), (54, ELSEWHERE, DAN)];
    write(&db.store, |tx| {
        all.into_iter()
            .try_for_each(|(n, here, owner)| conversations::insert(tx, &conversation(n, here, owner), &[]))
    });
}

fn a_reach_shows_its_conversations_and_no_others(db: &Database) {
    seed(db);
    for (here, user, scope, expected) in [
        (HERE, ANN, "own", vec![51]),
        (HERE, ANN, "team", vec![52, 51]),
        (HERE, CYD, "team", vec![53]),
        (HERE, ANN, "all", vec![53, 52, 51]),
        (ELSEWHERE, DAN, "team", vec![54]),
        (ELSEWHERE, DAN, "all", vec![54]),
    ] {
        let reach = reach(here, user, scope);
        read(&db.store, |tx| {
            let listed = conversations::list(tx, &reach, &Filter::default(), &page(None, 50))?;
            assert_eq!(numbers(listed.into_iter().map(|row| row.id)), expected, "{user} {scope}");
            for number in 51..55 {
                let found = conversations::find(tx, &reach, id(number))?.is_some();
                assert_eq!(found, expected.contains(&number), "{user} {scope} {number}");
            }
            Ok(())
        });
    }
}

fn a_list_is_narrowed_by_people_time_and_text_in_any_case(db: &Database) {
    seed(db);
    let text = Conversation {
        title: "Quarterly REVIEW".to_owned(),
        summary: "100% _done_".to_owned(),
        ..conversation(55, HERE, CYD)
    };
    write(&db.store, |tx| conversations::insert(tx, &text, &[]));
    let q = |text: &str| Filter { q: Some(text.to_owned()), ..Filter::default() };
    let owner = |user| Filter { owner: Some(id(user)), ..Filter::default() };
    let team = |team| Filter { team: Some(id(team)), ..Filter::default() };
    for (scope, filter, expected) in [
        ("all", q("review"), vec![55]),
        ("all", q("THEY SPOKE"), vec![53, 52, 51]),
        ("all", q("0% _D"), vec![55]),
        ("all", q("0%d"), vec![]),
        ("team", q("review"), vec![]),
        ("all", owner(CYD), vec![55, 53]),
        ("team", owner(CYD), vec![]),
        ("own", owner(BOB), vec![]),
        ("all", owner(DAN), vec![]),
        ("all", team(HERE), vec![52, 51]),
        ("own", team(HERE), vec![51]),
        ("all", team(ELSEWHERE), vec![]),
        ("all", Filter { from: Some(at(52)), to: Some(at(55)), ..Filter::default() }, vec![53, 52]),
        ("team", Filter { from: Some(at(52)), to: Some(at(53)), ..Filter::default() }, vec![52]),
    ] {
        let reach = reach(HERE, ANN, scope);
        let listed = read(&db.store, |tx| conversations::list(tx, &reach, &filter, &page(None, 50)));
        assert_eq!(numbers(listed.into_iter().map(|row| row.id)), expected, "{scope} {filter:?}");
    }
}
