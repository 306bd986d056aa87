//! Pages: whoever walks them meets every row that stays, once, whatever comes and goes meanwhile.

use harmony_store::{api_keys, audit, conversations, roles, teams, users};

use crate::{
    backend::{Database, on_both},
    bookkeeping::event,
    house::*,
};

on_both!(
    pages_that_start_at_the_newest_row_are_stable,
    pages_that_start_at_the_oldest_row_are_stable,
    conversations_that_started_at_once_are_told_apart_by_their_ids,
);

fn pages_that_start_at_the_newest_row_are_stable(db: &Database) {
    furnish(&db.store);
    let add = |n| {
        write(&db.store, |tx| {
            api_keys::insert(tx, &key(n, HERE, ANN))?;
            audit::insert(tx, &event(n, HERE))?;
            conversations::insert(tx, &conversation(n, HERE, ANN), &[])
        });
    };
    (101..107).for_each(add);
    let all = reach(HERE, ANN, "all");
    let next = |after: Option<u8>| {
        read(&db.store, |tx| {
            let keys = api_keys::list(tx, &all, &Default::default(), &page(after.map(id), 2))?;
            let events = audit::list(tx, id(HERE), &Default::default(), &page(after.map(id), 2))?;
            let cursor = after.map(|n| (at(i64::from(n)), id(n)));
            let spoken = conversations::list(tx, &all, &Default::default(), &page(cursor, 2))?;
            let keys = numbers(keys.into_iter().map(|(key, _)| key.id));
            assert_eq!(numbers(events.into_iter().map(|event| event.id)).len(), 2);
            Ok((keys, numbers(spoken.into_iter().map(|row| row.id))))
        })
    };
    assert_eq!(next(None), (vec![106, 105], vec![106, 105]));
    add(107);
    write(&db.store, |tx| {
        api_keys::delete(tx, id(105))?;
        api_keys::delete(tx, id(104))?;
        conversations::delete(tx, id(105), harmony_store::Version::FIRST)?;
        conversations::delete(tx, id(104), harmony_store::Version::FIRST)
    });
    assert_eq!(next(Some(105)), (vec![103, 102], vec![103, 102]));
}

fn pages_that_start_at_the_oldest_row_are_stable(db: &Database) {
    furnish(&db.store);
    let add = |n| {
        write(&db.store, |tx| {
            roles::insert(tx, &role(n, HERE))?;
            teams::insert(tx, &team(n, HERE))?;
            users::insert(tx, &user(n, HERE), None)
        });
    };
    (101..107).for_each(add);
    let all = reach(HERE, ANN, "all");
    let next = |after: u8| {
        read(&db.store, |tx| {
            let roles = roles::list(tx, id(HERE), &page(Some(id(after)), 2))?;
            let teams = teams::list(tx, &all, &page(Some(id(after)), 2))?;
            let users = users::list(tx, &all, &page(Some(id(after)), 2))?;
            let roles = numbers(roles.into_iter().map(|row| row.id));
            assert_eq!(roles, numbers(teams.into_iter().map(|row| row.id)));
            assert_eq!(roles, numbers(users.into_iter().map(|row| row.id)));
            Ok(roles)
        })
    };
    assert_eq!(next(100), [101, 102]);
    for number in [102, 103] {
        write(&db.store, |tx| {
            roles::delete(tx, id(number))?;
            teams::delete(tx, id(number))?;
            users::delete(tx, id(number))
        });
    }
    add(107);
    assert_eq!((next(102), next(105), next(107)), (vec![104, 105], vec![106, 107], vec![]));
}

fn conversations_that_started_at_once_are_told_apart_by_their_ids(db: &Database) {
    furnish(&db.store);
    let same = |n, owner| conversations::Conversation { started_at: at(5), ..conversation(n, HERE, owner) };
    let all = [(101, ANN), (102, BOB), (103, ANN), (104, BOB), (105, ANN)];
    write(&db.store, |tx| {
        all.iter().try_for_each(|&(n, owner)| conversations::insert(tx, &same(n, owner), &[]))
    });
    for scope in ["all", "team"] {
        let (mut walked, mut after) = (Vec::new(), None);
        loop {
            let reach = reach(HERE, ANN, scope);
            let rows =
                read(&db.store, |tx| conversations::list(tx, &reach, &Default::default(), &page(after, 2)));
            let Some(last) = rows.last() else { break };
            after = Some((last.started_at, last.id));
            walked.extend(numbers(rows.into_iter().map(|row| row.id)));
        }
        assert_eq!(walked, [105, 104, 103, 102, 101], "{scope}");
    }
}
