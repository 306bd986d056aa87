//! Somebody who speaks plain HTTP with the pages: what a browser hides is seen, and what it would not send is sent.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use reqwest::{Method, blocking::Client, redirect};

use super::world::PASSWORD;
use crate::server::{Answer, Server};

/// A visitor with cookies of their own, who follows no redirect unless told.
pub struct Visitor<'a> {
    server: &'a Server,
    client: Client,
    cookies: RefCell<BTreeMap<String, String>>,
    origin: String,
    from: Option<&'static str>,
}

/// The fields of a form, in their order.
pub type Fields = Vec<(String, String)>;

impl<'a> Visitor<'a> {
    pub fn new(server: &'a Server) -> Self {
        let client = Client::builder()
            .timeout(Duration::from_secs(60))
            .redirect(redirect::Policy::none())
            .build()
            .unwrap();
        let origin = format!("http://{}", server.address);
        Self { server, client, cookies: RefCell::default(), origin, from: None }
    }

    /// Comes from this address, if the server believes the proxy that says so.
    pub fn from(self, address: &'static str) -> Self {
        Self { from: Some(address), ..self }
    }

    /// Uses the server under this name.
    pub fn at(self, origin: &str) -> Self {
        Self { origin: origin.to_owned(), ..self }
    }

    /// Sends exactly these headers beside the cookies.
    #[track_caller]
    pub fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: String) -> Answer {
        let mut request = self.client.request(method, format!("http://{}{path}", self.server.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(address) = self.from {
            request = request.header("x-forwarded-for", address);
        }
        if !self.cookies.borrow().is_empty() {
            request = request.header("cookie", self.jar());
        }
        let response = request.body(body).send().unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let answer = Answer { status, headers, text: response.text().unwrap() };
        self.keep(&answer);
        answer
    }

    fn jar(&self) -> String {
        let cookies = self.cookies.borrow();
        cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    fn keep(&self, answer: &Answer) {
        for cookie in set_cookies(answer) {
            let (pair, rest) = cookie.split_once(';').unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            let mut cookies = self.cookies.borrow_mut();
            if rest.contains("Max-Age=0") {
                cookies.remove(name);
            } else {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// The value of the cookie whose name ends like this.
    pub fn cookie(&self, name: &str) -> Option<String> {
        let cookies = self.cookies.borrow();
        cookies.iter().find(|(known, _)| known.ends_with(name)).map(|(_, value)| value.clone())
    }

    /// Holds this cookie from now on.
    pub fn hold(&self, name: &str, value: &str) {
        self.cookies.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], String::new())
    }

    /// The same, and once more if the session has another token now.
    #[track_caller]
    pub fn look(&self, path: &str) -> Answer {
        let answer = self.get(path);
        if answer.status == 303 && answer.header("location") == path { self.get(path) } else { answer }
    }

    /// Sends a form as a browser does that shows a page of the server's.
    #[track_caller]
    pub fn post(&self, path: &str, fields: &Fields) -> Answer {
        let headers = [("origin", self.origin.as_str()), ("sec-fetch-site", "same-origin"), FORM];
        self.send(Method::POST, path, &headers, encode(fields))
    }

    /// Looks at a page, and returns the hidden fields of the form on it that goes to `action`.
    #[track_caller]
    pub fn hidden(&self, page: &str, action: &str) -> Fields {
        let answer = self.look(page);
        assert_eq!(answer.status, 200, "{page}: {}", answer.text);
        hidden_fields(&answer.text, page, action)
    }

    /// Fills in the form on a page that goes to the page itself, and sends it.
    #[track_caller]
    pub fn submit(&self, page: &str, filled: &[(&str, &str)]) -> Answer {
        self.submit_to(page, page, filled)
    }

    /// The same for a form that goes elsewhere.
    #[track_caller]
    pub fn submit_to(&self, page: &str, action: &str, filled: &[(&str, &str)]) -> Answer {
        let mut form = self.hidden(page, action);
        form.extend(fields(filled));
        self.post(action, &form)
    }

    /// Tries to sign in.
    #[track_caller]
    pub fn try_sign_in(&self, email: &str, password: &str) -> Answer {
        self.post("/sign-in", &fields(&[("email", email), ("password", password)]))
    }

    /// Signs in with everybody's password.
    #[track_caller]
    pub fn sign_in(self, email: &str) -> Self {
        let answer = self.try_sign_in(email, PASSWORD);
        assert_eq!(answer.status, 303, "{}", answer.text);
        self
    }

    /// Whether pages are shown, and not the one for signing in.
    #[track_caller]
    pub fn is_signed_in(&self) -> bool {
        let answer = self.look("/account");
        assert!(matches!(answer.status, 200 | 303), "{}", answer.text);
        answer.status == 200
    }
}

pub const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

pub fn fields(pairs: &[(&str, &str)]) -> Fields {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub fn encode(fields: &Fields) -> String {
    let escaped = |text: &str| {
        text.bytes().fold(String::new(), |text, byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => text + &char::from(byte).to_string(),
            other => text + &format!("%{other:02X}"),
        })
    };
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    pairs.collect::<Vec<_>>().join("&")
}

pub fn set_cookies(answer: &Answer) -> Vec<String> {
    let all = answer.headers.get_all("set-cookie").iter();
    all.map(|value| value.to_str().unwrap().to_owned()).collect()
}

/// The hidden fields of the form to `action` in an answer that came from `page`.
#[track_caller]
pub fn hidden_fields(html: &str, page: &str, action: &str) -> Fields {
    let goes_there = |form: &&str| {
        let tag = form.split('>').next().unwrap();
        let named = tag.contains(&format!("action=\"{action}\""));
        tag.contains("method=\"post\"") && (named || (page == action && !tag.contains("action=")))
    };
    let form = html.split("<form").skip(1).find(goes_there);
    let form = form.unwrap_or_else(|| panic!("no form to {action} on {page}: {html}"));
    let form = form.split("</form>").next().unwrap();
    let inputs = form.split("<input ").skip(1).filter(|input| input.starts_with("type=\"hidden\""));
    let attribute = |input: &str, name: &str| {
        let (_, rest) = input.split_once(&format!("{name}=\""))?;
        Some(rest.split('"').next().unwrap().to_owned())
    };
    inputs.map(|input| (attribute(input, " name").unwrap(), attribute(input, "value").unwrap())).collect()
}
