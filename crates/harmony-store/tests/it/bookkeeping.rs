//! The audit log, idempotency keys and setup links.

use harmony_key::{Fingerprint, TokenDigest};
use harmony_store::{
    StoreError,
    audit::{self, AuditEvent, Filter},
    idempotency::{self, KEPT_MS, Known},
    setup_links,
};

use crate::{
    backend::{Database, on_both},
    house::*,
};

on_both!(
    an_event_reads_back_and_a_list_is_narrowed,
    an_idempotency_key_is_known_to_its_principal_for_a_day,
    a_setup_link_is_used_once_and_in_time,
);

pub fn event(number: u8, here: u8) -> AuditEvent {
    AuditEvent {
        id: id(number),
        workspace: id(here),
        at: at(i64::from(number)),
        actor_user_id: None,
        actor_key_id: None,
        action: "api_key.created".to_owned(),
        subject_id: "key_1".to_owned(),
        detail: "{}".to_owned(),
        client_ip: None,
        request_id: None,
    }
}

fn an_event_reads_back_and_a_list_is_narrowed(db: &Database) {
    let full = AuditEvent {
        actor_user_id: Some("usr_1".to_owned()),
        actor_key_id: Some("key_2".to_owned()),
        action: "api_key.deleted".to_owned(),
        subject_id: "key_3".to_owned(),
        client_ip: Some("::1".to_owned()),
        request_id: Some("r".to_owned()),
        ..event(72, HERE)
    };
    let bare = event(71, HERE);
    let all = [bare.clone(), full.clone(), event(73, ELSEWHERE)];
    write(&db.store, |tx| all.iter().try_for_each(|event| audit::insert(tx, event)));
    assert!(matches!(db.store.write(|tx| audit::insert(tx, &bare)), Err(StoreError::Taken(_))));
    let some = |text: &str| Some(text.to_owned());
    let any = Filter::default;
    for (filter, expected) in [
        (any(), vec![&full, &bare]),
        (Filter { action: some("api_key.created"), ..any() }, vec![&bare]),
        (Filter { actor: some("usr_1"), ..any() }, vec![&full]),
        (Filter { actor: some("usr_9"), ..any() }, vec![]),
        (Filter { subject: some("key_3"), ..any() }, vec![&full]),
        (Filter { from: Some(at(72)), ..any() }, vec![&full]),
        (Filter { to: Some(at(72)), ..any() }, vec![&bare]),
    ] {
        let listed = read(&db.store, |tx| audit::list(tx, id(HERE), &filter, &page(None, 50)));
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "{filter:?}");
    }
}

fn an_idempotency_key_is_known_to_its_principal_for_a_day(db: &Database) {
    let (request, other) = (Fingerprint::of(&[b"a"]), Fingerprint::of(&[b"b"]));
    let find = |principal: &str, request, millis| {
        read(&db.store, |tx| idempotency::find(tx, principal, "k", request, at(millis)))
    };
    let note =
        |millis| db.store.write(|tx| idempotency::note(tx, "usr_1", "k", request, "key_1", at(millis)));
    assert_eq!(find("usr_1", request, 5), None);
    note(5).unwrap();
    assert_eq!(find("usr_1", request, 5), Some(Known::Repetition("key_1".to_owned())));
    assert_eq!(find("usr_1", other, 5), Some(Known::OtherRequest));
    assert_eq!(find("usr_2", request, 5), None);
    assert!(find("usr_1", request, 4 + KEPT_MS).is_some());
    assert_eq!(find("usr_1", request, 5 + KEPT_MS), None);
    assert!(matches!(note(4 + KEPT_MS), Err(StoreError::Taken(_))));
    note(5 + KEPT_MS).unwrap();
}

fn a_setup_link_is_used_once_and_in_time(db: &Database) {
    let (link, late) = (TokenDigest::of("a"), TokenDigest::of("b"));
    write(&db.store, |tx| {
        setup_links::insert(tx, link, at(0), at(100))?;
        setup_links::insert(tx, late, at(0), at(50))
    });
    let live = |link, millis| read(&db.store, |tx| setup_links::is_live(tx, link, at(millis)));
    assert_eq!((live(link, 99), live(link, 100), live(TokenDigest::of("c"), 0)), (true, false, false));
    let take = |link, millis| write(&db.store, |tx| setup_links::take(tx, link, at(millis)));
    assert_eq!((take(link, 60), take(link, 60), take(late, 50)), (true, false, false));
    assert_eq!(write(&db.store, |tx| setup_links::delete_old(tx, at(60))), 1);
}
