//! A new key, shown once: in the answer to the form, which nobody keeps.

use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::{ApiKeyId, RoleId, Timestamp};
use harmony_permission::{PermissionSet, Scope, catalogue};
use harmony_store::{
    Page,
    key_table::{KeyQuery, KeyRow},
    roles::Role,
};
use harmony_workspace::{
    DisplayRateLimit, Once,
    api_keys::{self, IssuedApiKey, NewApiKey},
    key_table, roles, settings, times,
};

use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    origin, page, permits,
    refusal::Refused,
    session::{self, SignedIn},
    shell::{API_KEYS, Shell},
    words::{self, Moment},
};

pub(super) const LIFETIMES: [(&str, &str, u64); 4] =
    [("7", "7 days", 7), ("30", "30 days", 30), ("90", "90 days", 90), ("365", "1 year", 365)];
const USUAL_LIFETIME: &str = "90";
/// The most roles to choose from.
const CHOICES: u32 = 200;
/// The most keys with a name like the new one's that are looked at.
const NAMESAKES_MAX: u32 = 50;

#[derive(Template)]
#[template(path = "api_keys/new.html")]
struct NewPage<'a> {
    shell: Shell,
    once: String,
    name: &'a str,
    role: &'a str,
    expires: &'a str,
    date: &'a str,
    limit: &'a str,
    /// The first date that may be chosen, and no last.
    dates: Option<(String, String)>,
    roles: Vec<Choice>,
    default: String,
    lifetimes: Vec<Lifetime>,
    mistakes: Mistakes,
}

struct Choice {
    id: String,
    name: String,
    permits: String,
}

/// When a key may end, to choose from.
pub(super) struct Lifetime {
    pub value: &'static str,
    pub label: &'static str,
    pub until: String,
}

pub(super) async fn show(person: SignedIn, console: web::Data<Console>) -> Result<HttpResponse, Refused> {
    person.must(catalogue::API_KEYS_CREATE, Scope::All)?;
    form_page(StatusCode::OK, &person, &console, &Form::default(), Mistakes::default()).await
}

async fn form_page(
    status: StatusCode,
    person: &SignedIn,
    console: &Console,
    form: &Form,
    mistakes: Mistakes,
) -> Result<HttpResponse, Refused> {
    let principal = person.principal().clone();
    let readable = person.may(catalogue::ROLES_READ, Scope::All);
    let settings_readable = person.may(catalogue::WORKSPACE_READ, Scope::Own);
    let (found, default) = console
        .run(move |workspace| {
            let page = Page { after: None, limit: CHOICES };
            let found = if readable { roles::list(workspace, &principal, &page)? } else { Vec::new() };
            let default = if settings_readable { Some(settings::find(workspace, &principal)?) } else { None };
            Ok((found, default.map(|settings| settings.default_permissions)))
        })
        .await?;
    let now = person.occasion.now;
    let page = NewPage {
        shell: person.shell("Create API key", API_KEYS),
        once: session::draw_once()?,
        name: form.text("name"),
        role: form.text("role"),
        expires: form.filled("expires").unwrap_or(USUAL_LIFETIME),
        date: form.text("date"),
        limit: form.text("limit"),
        dates: Some((words::day(now), String::new())),
        roles: found.iter().filter(|role| grantable(person, role)).map(choice).collect(),
        default: default
            .as_ref()
            .map_or_else(|| "what the workspace’s settings say".to_owned(), permits::permissions),
        lifetimes: LIFETIMES.map(|(value, label, days)| lifetime(value, label, days, now)).into(),
        mistakes,
    };
    page::html(status, &page)
}

/// Nobody hands out more than they hold, so nobody is offered it.
fn grantable(person: &SignedIn, role: &Role) -> bool {
    let held: &PermissionSet = person.principal().permissions();
    held.covers(&role.permissions())
}

fn choice(role: &Role) -> Choice {
    let permits = permits::permissions(&role.permissions());
    Choice { id: role.id.to_string(), name: role.name.clone(), permits }
}

pub(super) fn lifetime(value: &'static str, label: &'static str, days: u64, now: Timestamp) -> Lifetime {
    let end = now.plus(days_of(days));
    Lifetime { value, label, until: format!("until {}", Moment::new(end, now).exact) }
}

pub(super) fn days_of(days: u64) -> Duration {
    Duration::from_secs(days * 86_400)
}

pub(super) async fn perform(
    person: SignedIn,
    console: web::Data<Console>,
    request: HttpRequest,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::API_KEYS_CREATE, Scope::All)?;
    let form = posted.by(&person)?;
    let new = match read(&form, person.occasion.now) {
        Ok(new) => new,
        Err(mistakes) => {
            return form_page(StatusCode::UNPROCESSABLE_ENTITY, &person, &console, &form, mistakes).await;
        }
    };
    let once = person.once(&form, "create an API key")?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let made = console
        .run(move |workspace| api_keys::create(workspace, &principal, &occasion, &new, Some(&once)))
        .await;
    let mistakes = match made {
        Ok(Once::Made(issued)) => {
            let namesakes = namesakes(&person, &console, &issued).await;
            return reveal(&person, &console, &request, &issued, Shown::First { namesakes });
        }
        Ok(Once::Repeated(id)) => return repeated(&person, &id),
        Err(Refused::Forbidden { required }) => {
            let mut mistakes = Mistakes::default();
            mistakes.add("role", format!("It permits {required}, which you do not hold yourself."));
            mistakes
        }
        Err(refused) => Mistakes::of(refused)?,
    };
    form_page(StatusCode::UNPROCESSABLE_ENTITY, &person, &console, &form, mistakes).await
}

fn read(form: &Form, now: Timestamp) -> Result<NewApiKey, Mistakes> {
    let mut mistakes = Mistakes::default();
    let role = form.filled("role").map(RoleId::parse).transpose();
    let role = role.unwrap_or_else(|_| {
        mistakes.add("role", "Choose one of the roles.");
        None
    });
    let expires_at = match form.text("expires") {
        "never" => None,
        _ => expiration(form, now, &mut mistakes),
    };
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    Ok(NewApiKey {
        name: form.text("name").to_owned(),
        owner: None,
        role,
        expires_at,
        display_rate_limit: form.filled("limit").map(|text| DisplayRateLimit::Text(text.to_owned())),
    })
}

/// The end that was chosen, as a lifetime or as a date.
pub(super) fn expiration(form: &Form, now: Timestamp, mistakes: &mut Mistakes) -> Option<Timestamp> {
    let chosen = form.text("expires");
    if chosen == "date" {
        let end = times::end_of_day(form.text("date")).ok();
        if end.is_none() {
            mistakes.add("expires_at", "Choose the date on whose end the key expires.");
        }
        return end;
    }
    let lifetime = LIFETIMES.iter().find(|(value, _, _)| *value == chosen);
    if lifetime.is_none() {
        mistakes.add("expires_at", "Choose how long the key is to live.");
    }
    lifetime.map(|(_, _, days)| now.plus(days_of(*days)))
}

#[derive(Template)]
#[template(path = "api_keys/reveal.html")]
struct RevealPage<'a> {
    shell: Shell,
    /// The id of the key that is looked at next.
    next: String,
    name: &'a str,
    key: &'a str,
    base: String,
    replaced: Option<Replaced>,
    /// `Another key has`, when one has this name as well.
    namesakes: Option<String>,
}

/// What a key is shown for the first time after.
pub(super) enum Shown {
    /// It was made, and so many others have its name.
    First { namesakes: usize },
    /// It takes over from another one.
    Instead(Replaced),
}

/// The key that a new one takes over from.
pub(super) struct Replaced {
    pub id: ApiKeyId,
    /// When it ends, in words.
    pub ends: &'static str,
    /// Whether it still works.
    pub goes_on: bool,
}

/// The one page that shows a key.
pub(super) fn reveal(
    person: &SignedIn,
    console: &Console,
    request: &HttpRequest,
    issued: &IssuedApiKey,
    shown: Shown,
) -> Result<HttpResponse, Refused> {
    let (replaced, namesakes) = match shown {
        Shown::First { namesakes: 0 } => (None, None),
        Shown::First { namesakes: 1 } => (None, Some("Another key has".to_owned())),
        Shown::First { namesakes } => (None, Some(format!("{namesakes} other keys have"))),
        Shown::Instead(old) => (Some(old), None),
    };
    let title = if replaced.is_some() { "The new API key" } else { "Your new API key" };
    let old = replaced.as_ref().filter(|old| old.goes_on).map(|old| old.id);
    let page = RevealPage {
        shell: person.shell(title, API_KEYS),
        next: old.unwrap_or(issued.key.id).to_string(),
        name: &issued.key.name,
        key: issued.text.reveal(),
        base: origin::address(request, console.public_url.as_ref()),
        replaced,
        namesakes,
    };
    page::html(StatusCode::CREATED, &page)
}

/// How many other keys that the person may see have this name, of the newest. The key is made and has to be shown, whatever
/// becomes of this question.
async fn namesakes(person: &SignedIn, console: &Console, issued: &IssuedApiKey) -> usize {
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let (id, name) = (issued.key.id, issued.key.name.clone());
    let query = KeyQuery { text: Some(name.clone()), limit: NAMESAKES_MAX, ..KeyQuery::default() };
    let found = console.run(move |workspace| key_table::page(workspace, &principal, &occasion, &query)).await;
    let alike = |row: &&KeyRow| row.key.id != id && row.key.name == name;
    found.map_or(0, |page| page.rows.iter().filter(alike).count())
}

#[derive(Template)]
#[template(path = "api_keys/repeated.html")]
struct RepeatedPage<'a> {
    shell: Shell,
    id: &'a str,
}

/// The form was sent before: no second key, and no second look at the first.
pub(super) fn repeated(person: &SignedIn, id: &str) -> Result<HttpResponse, Refused> {
    page::html(
        StatusCode::OK,
        &RepeatedPage { shell: person.shell("The key was made already", API_KEYS), id },
    )
}
