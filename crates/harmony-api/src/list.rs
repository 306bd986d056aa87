//! Lists: `{"data": […], "next_cursor": …}`, and the parameters that they take.

use actix_web::{FromRequest, HttpRequest, dev::Payload};
use harmony_access::{Id, Kind};
use harmony_actix::{Code, Problem};
use harmony_store::Page;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::future::{Ready, ready};

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 200;
/// The longest text in the query string, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// Query parameters; an unknown one is refused by its name.
pub(crate) struct Query<T>(pub T);

impl<T: DeserializeOwned> FromRequest for Query<T> {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Self::read(request.query_string()))
    }
}

impl<T: DeserializeOwned> Query<T> {
    /// Reads a query string.
    pub(crate) fn read(text: &str) -> Result<Self, Problem> {
        let read = actix_web::web::Query::<T>::from_query(text);
        read.map(|query| Self(query.into_inner())).map_err(|error| {
            let text = error.to_string();
            let message = text.strip_prefix("Query deserialize error: ").unwrap_or(&text);
            Problem::new(Code::MalformedRequest)
                .with_detail(format!("The query string is not valid: {message}."))
        })
    }
}

/// The parameters of a list without filters.
#[derive(Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// 1 to 200; 50 when absent.
    #[param(value_type = Option<u32>)]
    pub limit: Option<String>,
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// A page of a list.
#[derive(Serialize, utoipa::ToSchema)]
pub(crate) struct List<T> {
    pub data: Vec<T>,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}

/// The page that `limit` and `cursor` ask for. One row more than wanted is read, to know whether there is another page.
pub(crate) fn page<C>(
    limit: Option<&str>,
    cursor: Option<&str>,
    read: impl FnOnce(&str) -> Option<C>,
) -> Result<Page<C>, Problem> {
    // Read here and not with the other parameters, whose reader does not say of which one the digits are.
    let limit = limit.map_or(Ok(DEFAULT_LIMIT), str::parse).unwrap_or(0);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::new(Code::MalformedRequest).with_detail("`limit` is a number from 1 to 200."));
    }
    let after = match cursor {
        None => None,
        Some(text) => Some(read(text).ok_or_else(|| Problem::new(Code::InvalidCursor))?),
    };
    Ok(Page { after, limit: limit + 1 })
}

/// The same for lists that are ordered by id.
pub(crate) fn page_by_id<K: Kind>(limit: Option<&str>, cursor: Option<&str>) -> Result<Page<Id<K>>, Problem> {
    page(limit, cursor, |text| Id::parse(text).ok())
}

/// A text in the query string. No row holds a control character, and PostgreSQL takes no NUL at all.
pub(crate) fn query_text(name: &str, text: Option<String>) -> Result<Option<String>, Problem> {
    let wrong = match &text {
        Some(text) if text.chars().count() > MAX_TEXT_CHARS => {
            format!("has {MAX_TEXT_CHARS} characters at most")
        }
        Some(text) if text.chars().any(char::is_control) => "has no control characters".to_owned(),
        Some(_) | None => return Ok(text),
    };
    Err(Problem::new(Code::MalformedRequest).with_detail(format!("`{name}` {wrong}.")))
}

/// Writes rows as a page. `wanted` is the page's limit, with the one more that was read.
pub(crate) fn list<R, T>(
    mut rows: Vec<R>,
    wanted: u32,
    cursor: impl Fn(&R) -> String,
    write: impl Fn(&R) -> T,
) -> List<T> {
    let limit = usize::try_from(wanted.saturating_sub(1)).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next_cursor = rows.last().filter(|_| more).map(cursor);
    List { data: rows.iter().map(write).collect(), next_cursor }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_limit_is_a_number_from_1_to_200_and_50_when_absent() {
        let read = |limit| page(limit, None, |_| Some(())).map(|page| page.limit - 1);
        for (limit, rows) in [(None, 50), (Some("1"), 1), (Some("200"), 200)] {
            assert_eq!(read(limit).ok(), Some(rows));
        }
        for wrong in ["", "0", "201", "x", "-1", "1.5", "99999999999"] {
            let said = read(Some(wrong)).unwrap_err().to_string();
            assert!(said.ends_with("`limit` is a number from 1 to 200."), "{wrong}: {said}");
        }
    }

    #[test]
    fn an_unknown_parameter_is_refused_by_its_name() {
        for name in ["number", "digits"] {
            let request = TestRequest::get().uri(&format!("/?{name}=1")).to_http_request();
            let read = Query::<PageQuery>::from_request(&request, &mut Payload::None).into_inner();
            let said = read.err().unwrap().to_string();
            assert!(said.contains(&format!("unknown field `{name}`")), "{said}");
        }
    }

    #[test]
    fn a_text_of_the_query_string_is_bounded_and_without_control_characters() {
        let read = |text: &str| query_text("q", Some(text.to_owned())).map_err(|problem| problem.code());
        for good in ["", "über 100 %_", &"ü".repeat(200)] {
            assert_eq!(read(good).unwrap().as_deref(), Some(good));
        }
        for bad in ["a\0b", "a\nb", "\u{7f}", "\u{85}", &"ü".repeat(201)] {
            assert_eq!(read(bad), Err(Code::MalformedRequest), "{bad:?}");
        }
        assert_eq!(query_text("q", None).ok(), Some(None));
    }
}
