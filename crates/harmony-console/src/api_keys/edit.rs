//! A key's name, its display rate limit, and an earlier end.

use std::time::Duration;

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::{ApiKeyId, Timestamp};
use harmony_permission::{Scope, catalogue};
use harmony_store::{Version, api_keys::ApiKey, key_table::KeyRow};
use harmony_workspace::{
    DisplayRateLimit,
    api_keys::{self, ApiKeyChange},
    key_table,
};

use super::{
    create::{self, LIFETIMES, Lifetime},
    id_of,
    row::Row,
};
use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    page,
    refusal::Refused,
    session::SignedIn,
    shell::{API_KEYS, Shell},
    words::{self, Moment},
};

/// The choice that leaves the end where it is.
const AS_IT_IS: &str = "as-it-is";
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Template)]
#[template(path = "api_keys/edit.html")]
struct EditPage {
    shell: Shell,
    id: String,
    /// As it is, whatever was entered.
    known_as: String,
    /// When it ends, in words.
    ends: String,
    version: i64,
    name: String,
    limit: String,
    expires: String,
    date: String,
    choices: Vec<Lifetime>,
    /// The first date that may be chosen, and the last, which is empty when there is none.
    dates: Option<(String, String)>,
    mistakes: Mistakes,
}

impl EditPage {
    /// The page of a key as it is.
    fn new(person: &SignedIn, key: &ApiKey) -> Self {
        let now = person.occasion.now;
        Self {
            shell: person.shell(format!("Edit {}", key.name), API_KEYS),
            id: key.id.to_string(),
            known_as: key.name.clone(),
            ends: ends(key.expires_at, now),
            version: key.version.number(),
            name: key.name.clone(),
            limit: limit(key),
            expires: AS_IT_IS.to_owned(),
            date: String::new(),
            choices: choices(key.expires_at, now),
            dates: dates(key.expires_at, now),
            mistakes: Mistakes::default(),
        }
    }

    /// With what was entered, and what is wrong with it.
    fn again(mut self, form: &Form, mistakes: Mistakes) -> Self {
        form.text("name").clone_into(&mut self.name);
        form.text("limit").clone_into(&mut self.limit);
        form.text("expires").clone_into(&mut self.expires);
        form.text("date").clone_into(&mut self.date);
        self.mistakes = mistakes;
        self
    }
}

fn ends(at: Option<Timestamp>, now: Timestamp) -> String {
    let Some(at) = at else { return "This key never expires.".to_owned() };
    let Moment { words, exact, .. } = Moment::new(at, now);
    if at <= now {
        format!("This key expired {words}, on {exact}.")
    } else {
        format!("This key expires {words}, on {exact}.")
    }
}

/// The ends that lie before the one it has.
fn choices(before: Option<Timestamp>, now: Timestamp) -> Vec<Lifetime> {
    let until =
        before.map_or_else(|| "never".to_owned(), |at| format!("until {}", Moment::new(at, now).exact));
    let sooner = LIFETIMES
        .into_iter()
        .filter(|(_, _, days)| before.is_none_or(|before| now.plus(create::days_of(*days)) < before))
        .map(|(value, label, days)| create::lifetime(value, label, days, now));
    [Lifetime { value: AS_IT_IS, label: "As it is", until }].into_iter().chain(sooner).collect()
}

/// The days that end before the key does.
fn dates(before: Option<Timestamp>, now: Timestamp) -> Option<(String, String)> {
    let first = words::day(now);
    let Some(before) = before else { return Some((first, String::new())) };
    let last = before.minus(DAY);
    (last >= now || words::day(last) == first).then(|| (first, words::day(last)))
}

/// The display rate limit as one enters it.
fn limit(key: &ApiKey) -> String {
    match key.display_rate_limit.as_deref().and_then(DisplayRateLimit::from_column) {
        Some(DisplayRateLimit::Number(number)) => number.to_string(),
        Some(DisplayRateLimit::Text(text)) => text,
        None => String::new(),
    }
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    let found = find(&person, &console, id_of(&path)?).await?;
    page::html(StatusCode::OK, &EditPage::new(&person, &found.key))
}

async fn find(person: &SignedIn, console: &Console, id: ApiKeyId) -> Result<KeyRow, Refused> {
    person.must(catalogue::API_KEYS_CREATE, Scope::All)?;
    person.must(catalogue::API_KEYS_READ, Scope::Team)?;
    let principal = person.principal().clone();
    Ok(console.run(move |workspace| key_table::find(workspace, &principal, id)).await?.row)
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    let id = id_of(&path)?;
    // Whoever may not see the key is not told that there is one.
    let found = find(&person, &console, id).await?;
    let form = posted.by(&person)?;
    let (status, mistakes, found) = match read(&form, &found.key, person.occasion.now) {
        Ok(wanted) => match save(&person, &console, id, wanted, form.version()).await {
            Ok(()) => return Ok(page::see_other(&format!("{API_KEYS}/{id}?saved=1"))),
            Err(Refused::Stale) => {
                let now = find(&person, &console, id).await?;
                (StatusCode::CONFLICT, changed_meanwhile(&person, &now), now)
            }
            Err(refused) => (StatusCode::UNPROCESSABLE_ENTITY, Mistakes::of(refused)?, found),
        },
        Err(mistakes) => (StatusCode::UNPROCESSABLE_ENTITY, mistakes, found),
    };
    page::html(status, &EditPage::new(&person, &found.key).again(&form, mistakes))
}

fn read(form: &Form, key: &ApiKey, now: Timestamp) -> Result<ApiKeyChange, Mistakes> {
    let mut mistakes = Mistakes::default();
    let expires_at = match form.text("expires") {
        AS_IT_IS => None,
        _ => create::expiration(form, now, &mut mistakes),
    };
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    // A limit that is left alone stays the number that a program may have made it.
    let entered = form.filled("limit");
    let other = entered.unwrap_or_default() != limit(key);
    Ok(ApiKeyChange {
        name: Some(form.text("name").to_owned()),
        display_rate_limit: other.then(|| entered.map(|text| DisplayRateLimit::Text(text.to_owned()))),
        expires_at,
    })
}

async fn save(
    person: &SignedIn,
    console: &Console,
    id: ApiKeyId,
    wanted: ApiKeyChange,
    seen: Version,
) -> Result<(), Refused> {
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    console
        .change(move |workspace| api_keys::change(workspace, &principal, &occasion, id, &wanted, Some(seen)))
        .await?;
    Ok(())
}

/// What was entered is kept, and what it would replace is said.
fn changed_meanwhile(person: &SignedIn, now: &KeyRow) -> Mistakes {
    let row = Row::new(now, person.occasion.now);
    let limit = if now.key.display_rate_limit.is_some() { row.limit } else { "none".to_owned() };
    let expires = row.expires.map_or_else(|| "never".to_owned(), |at| at.exact);
    let mut mistakes = Mistakes::default();
    mistakes.add(
        "version",
        format!(
            "Somebody else changed this key meanwhile. Its name is “{}” now, its display rate limit {limit}, its \
             expiration {expires}. Saving again replaces that by what you entered.",
            row.name
        ),
    );
    mistakes
}

#[cfg(test)]
mod tests {
    use harmony_workspace::times;

    use super::*;

    fn at(text: &str) -> Timestamp {
        times::read_instant(text).unwrap()
    }

    #[test]
    fn only_days_that_end_before_the_key_does_are_offered() {
        let now = at("2027-01-31T12:00:00Z");
        let last = |end| dates(Some(at(end)), now).map(|(_, last)| last);
        assert_eq!(dates(None, now), Some(("2027-01-31".to_owned(), String::new())));
        assert_eq!(last("2027-02-05T08:00:00Z").as_deref(), Some("2027-02-04"));
        assert_eq!(last("2027-02-01T08:00:00Z").as_deref(), Some("2027-01-31"));
        for none in ["2027-01-31T23:59:59.999Z", "2027-01-31T11:00:00Z", "2026-02-01T08:00:00Z"] {
            assert_eq!(last(none), None, "{none}");
        }
    }

    #[test]
    fn only_ends_before_the_one_it_has_are_offered() {
        let now = at("2027-01-31T12:00:00Z");
        let offered = |end: Option<&str>| {
            choices(end.map(at), now).into_iter().map(|choice| choice.value).collect::<Vec<_>>()
        };
        assert_eq!(offered(None), [AS_IT_IS, "7", "30", "90", "365"]);
        assert_eq!(offered(Some("2027-03-02T12:00:00Z")), [AS_IT_IS, "7"]);
        assert_eq!(offered(Some("2027-03-02T12:00:00.001Z")), [AS_IT_IS, "7", "30"]);
        assert_eq!(offered(Some("2026-01-01T00:00:00Z")), [AS_IT_IS]);
    }
}
