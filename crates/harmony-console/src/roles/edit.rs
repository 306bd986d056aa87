//! One role: made, looked at, changed after a look at what the change takes from whom, deleted.

use actix_web::{HttpResponse, http::StatusCode, web};
use askama::Template;
use harmony_access::RoleId;
use harmony_permission::{Permission, PermissionSet, Scope, catalogue};
use harmony_store::{Version, roles::Role};
use harmony_workspace::{
    Conflict, Once,
    roles::{self, NewRole, RoleChange},
};

use super::holders::{Holders, said};
use crate::{
    Console,
    form::{Form, Mistakes, Posted},
    matrix::{self, Resource},
    page, permits,
    refusal::{Refused, STALE, sentence},
    session::{self, SignedIn},
    shell::{ROLES, Shell},
};

#[derive(Template)]
#[template(path = "roles/edit.html")]
struct EditPage {
    shell: Shell,
    action: String,
    once: String,
    version: i64,
    name: String,
    description: String,
    may_save: bool,
    built_in: bool,
    deletable: Option<String>,
    holders: String,
    resources: Vec<Resource>,
    mistakes: Mistakes,
}

#[derive(Template)]
#[template(path = "roles/preview.html")]
struct PreviewPage {
    shell: Shell,
    action: String,
    fields: Vec<(String, String)>,
    holders: Holders,
    lost: Vec<Lost>,
    gained: Vec<String>,
}

/// What a change takes away, and what is left of it.
struct Lost {
    words: String,
    left: Option<String>,
}

#[derive(Template)]
#[template(path = "roles/delete.html")]
struct DeletePage {
    shell: Shell,
    id: String,
    holders: Holders,
}

fn id_of(path: &str) -> Result<RoleId, Refused> {
    RoleId::parse(path).map_err(|_| Refused::NotFound)
}

async fn find(person: &SignedIn, console: &Console, id: RoleId) -> Result<Role, Refused> {
    let principal = person.principal().clone();
    console.run(move |workspace| roles::find(workspace, &principal, id)).await
}

async fn count_holders(person: &SignedIn, console: &Console, id: RoleId) -> Result<(i64, i64), Refused> {
    let principal = person.principal().clone();
    let holders = console.run(move |workspace| roles::holders(workspace, &principal)).await?;
    Ok(holders.get(&id.to_string()).copied().unwrap_or_default())
}

pub(super) async fn show_new(person: SignedIn) -> Result<HttpResponse, Refused> {
    person.must(catalogue::ROLES_CREATE, Scope::All)?;
    new_page(StatusCode::OK, &person, &Form::default(), Mistakes::default())
}

fn new_page(
    status: StatusCode,
    person: &SignedIn,
    form: &Form,
    mistakes: Mistakes,
) -> Result<HttpResponse, Refused> {
    let page = EditPage {
        shell: person.shell("New role", ROLES),
        action: "/settings/roles/new".to_owned(),
        once: session::draw_once()?,
        version: 0,
        name: form.text("name").to_owned(),
        description: form.text("description").to_owned(),
        may_save: true,
        built_in: false,
        deletable: None,
        holders: String::new(),
        resources: matrix::resources(&matrix::chosen(form)),
        mistakes,
    };
    page::html(status, &page)
}

pub(super) async fn create(
    person: SignedIn,
    console: web::Data<Console>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::ROLES_CREATE, Scope::All)?;
    let form = posted.by(&person)?;
    let new = NewRole {
        name: form.text("name").to_owned(),
        description: form.text("description").to_owned(),
        permissions: matrix::chosen(&form),
    };
    let once = person.once(&form, "create a role")?;
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let made = console
        .run(move |workspace| roles::create(workspace, &principal, &occasion, &new, Some(&once)))
        .await;
    match made {
        Ok(Once::Made(_) | Once::Repeated(_)) => Ok(page::see_other("/settings/roles?done=created")),
        Err(refused) => {
            let (status, mistakes) = mistakes(refused)?;
            new_page(status, &person, &form, mistakes)
        }
    }
}

/// What the form is shown again with.
fn mistakes(refused: Refused) -> Result<(StatusCode, Mistakes), Refused> {
    let mut mistakes = Mistakes::default();
    match refused {
        Refused::Forbidden { required } => {
            mistakes
                .add("permissions", format!("You cannot hand out {required}: you do not hold it yourself."));
            Ok((StatusCode::FORBIDDEN, mistakes))
        }
        Refused::Conflict(why) => {
            let field = if matches!(why, Conflict::NameTaken { .. }) { "name" } else { "permissions" };
            mistakes.add(field, sentence(&why.to_string()));
            Ok((StatusCode::CONFLICT, mistakes))
        }
        Refused::Stale => {
            mistakes.add("permissions", STALE);
            Ok((StatusCode::CONFLICT, mistakes))
        }
        other => Ok((StatusCode::UNPROCESSABLE_ENTITY, Mistakes::of(other)?)),
    }
}

pub(super) async fn show(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::ROLES_READ, Scope::All)?;
    let role = find(&person, &console, id_of(&path)?).await?;
    let holders = count_holders(&person, &console, role.id).await?;
    let page = EditPage {
        name: role.name.clone(),
        description: role.description.clone(),
        resources: matrix::resources(&role.permissions()),
        ..edit_page(&person, &role, holders)?
    };
    page::html(StatusCode::OK, &page)
}

fn edit_page(person: &SignedIn, role: &Role, holders: (i64, i64)) -> Result<EditPage, Refused> {
    let own = role.built_in.is_none();
    Ok(EditPage {
        shell: person.shell(role.name.clone(), ROLES),
        action: format!("/settings/roles/{}", role.id),
        once: session::draw_once()?,
        version: role.version.number(),
        name: String::new(),
        description: String::new(),
        may_save: own && person.may(catalogue::ROLES_UPDATE, Scope::All),
        built_in: !own,
        deletable: Some(format!("/settings/roles/{}/delete", role.id))
            .filter(|_| own && person.may(catalogue::ROLES_DELETE, Scope::All)),
        holders: said(holders),
        resources: Vec::new(),
        mistakes: Mistakes::default(),
    })
}

pub(super) async fn change(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::ROLES_UPDATE, Scope::All)?;
    let (form, id) = (posted.by(&person)?, id_of(&path)?);
    let role = find(&person, &console, id).await?;
    let chosen = matrix::chosen(&form);
    let lost = matrix::lost(&role.permissions(), &chosen);
    if form.text("confirmed").is_empty() && !lost.is_empty() {
        let holders = Holders::of(&person, &console, id).await?;
        if holders.said.is_some() {
            return preview(&person, &role, holders, &form, &chosen);
        }
    }
    let change = RoleChange {
        name: Some(form.text("name").to_owned()),
        description: Some(form.text("description").to_owned()),
        permissions: Some(chosen.clone()),
    };
    let seen = form.text("version").parse().ok().map(Version::new);
    let (principal, occasion) = (person.principal().clone(), person.occasion.clone());
    let changed = console
        .change(move |workspace| roles::change(workspace, &principal, &occasion, id, &change, seen))
        .await;
    let refused = match changed {
        Ok(_) => return Ok(page::see_other("/settings/roles?done=changed")),
        Err(refused) => refused,
    };
    let (status, mistakes) = mistakes(refused)?;
    let holders = count_holders(&person, &console, id).await?;
    let page = EditPage {
        name: form.text("name").to_owned(),
        description: form.text("description").to_owned(),
        resources: matrix::resources(&chosen),
        mistakes,
        ..edit_page(&person, &role, holders)?
    };
    page::html(status, &page)
}

fn lost(held: &Permission, chosen: &PermissionSet) -> Lost {
    let left = chosen.scope_of(&held.action()).map(|scope| permits::permission(&held.action().at(scope)));
    Lost { words: permits::permission(held), left }
}

/// Before something is taken away: what, and from whom.
fn preview(
    person: &SignedIn,
    role: &Role,
    holders: Holders,
    form: &Form,
    chosen: &PermissionSet,
) -> Result<HttpResponse, Refused> {
    let before = role.permissions();
    let sent = form.fields().filter(|(name, value)| *name != "form_token" && !value.is_empty());
    let gained = matrix::lost(chosen, &before);
    let page = PreviewPage {
        shell: person.shell(format!("Change {}", role.name), ROLES),
        action: format!("/settings/roles/{}", role.id),
        fields: sent.map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        holders,
        lost: matrix::lost(&before, chosen).iter().map(|held| lost(held, chosen)).collect(),
        gained: gained.iter().map(permits::permission).collect(),
    };
    page::html(StatusCode::OK, &page)
}

pub(super) async fn show_delete(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::ROLES_DELETE, Scope::All)?;
    let role = find(&person, &console, id_of(&path)?).await?;
    let page = DeletePage {
        shell: person.shell(format!("Delete {}", role.name), ROLES),
        id: role.id.to_string(),
        holders: Holders::of(&person, &console, role.id).await?,
    };
    page::html(StatusCode::OK, &page)
}

pub(super) async fn delete(
    person: SignedIn,
    console: web::Data<Console>,
    path: web::Path<String>,
    posted: Posted,
) -> Result<HttpResponse, Refused> {
    person.must(catalogue::ROLES_DELETE, Scope::All)?;
    posted.by(&person)?;
    let (id, principal, occasion) = (id_of(&path)?, person.principal().clone(), person.occasion.clone());
    console.run(move |workspace| roles::delete(workspace, &principal, &occasion, id, None)).await?;
    Ok(page::see_other("/settings/roles?done=deleted"))
}
