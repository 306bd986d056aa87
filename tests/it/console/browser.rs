//! A browser of one's own: Chromium without a window, looked at and used as a person would.
//!
//! Nothing here sleeps. What has to happen first is waited for, and no longer than [`eventually`] waits.

use std::{fmt::Display, future::Future, path::Path, time::Duration};

use fantoccini::{
    Client, Locator,
    actions::{InputSource, KeyAction, KeyActions},
    elements::Element,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::driver::{Driver, Extra, PLAIN_HOST};
use crate::server::{Server, eventually};

pub const TAB: &str = "\u{e004}";
pub const ENTER: &str = "\u{e007}";
pub const SPACE: &str = " ";
pub const ESCAPE: &str = "\u{e00c}";
pub const DOWN: &str = "\u{e015}";
const CONTROL: char = '\u{e009}';

/// How long one command may take: longer than the browser itself waits for a page or a script.
const PATIENCE: Duration = Duration::from_secs(40);
/// The height of the window; a picture takes the whole page.
const HEIGHT: u32 = 900;
/// How many things on a page one may have to pass with the Tab key.
const MOST_STOPS: usize = 200;

/// How the browser shows pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    pub width: u32,
    pub theme: &'static str,
}

impl Look {
    pub const WIDE_LIGHT: Self = Self { width: 1280, theme: "light" };
    pub const WIDE_DARK: Self = Self { width: 1280, theme: "dark" };
    pub const NARROW_LIGHT: Self = Self { width: 390, theme: "light" };
    pub const NARROW_DARK: Self = Self { width: 390, theme: "dark" };

    /// A phone's screen: it obeys the page's own viewport, scrolls without bars, and has finer dots.
    fn is_phone(self) -> bool {
        self.width < 600
    }
}

impl Display for Look {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}-{}", self.width, self.theme)
    }
}

/// A browser; it ends with this.
pub struct Browser {
    // Before the driver: it is what ends the browser.
    client: Client,
    runtime: Runtime,
    _driver: Driver,
    profile: TempDir,
    server: String,
    look: Look,
    scripts: bool,
}

impl Browser {
    /// Opens one on this server, 1280 wide, light, with JavaScript.
    pub fn open(server: &Server) -> Self {
        let (driver, profile) = (Driver::start(), TempDir::new().unwrap());
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = run(&runtime, driver.open(profile.path()));
        let look = Look::WIDE_LIGHT;
        let server = server.address.clone();
        let mut browser = Self { client, runtime, _driver: driver, profile, server, look, scripts: true };
        browser.wear(look);
        browser
    }

    /// Goes on by a name on the network instead of the loopback address: no secure context, no `navigator.clipboard`.
    pub fn go_plain(&mut self) {
        let port = self.server.rsplit_once(':').unwrap().1;
        self.server = format!("{PLAIN_HOST}:{port}");
    }

    pub fn wear(&mut self, look: Look) {
        self.look = look;
        self.resize(HEIGHT);
        let scheme = json!([{ "name": "prefers-color-scheme", "value": look.theme }]);
        self.devtools("Emulation.setEmulatedMedia", &json!({ "features": scheme }));
    }

    fn resize(&self, height: u32) {
        let (width, phone) = (self.look.width, self.look.is_phone());
        let dots = if phone { 2 } else { 1 };
        let screen = json!({ "width": width, "height": height, "deviceScaleFactor": dots, "mobile": phone });
        self.devtools("Emulation.setDeviceMetricsOverride", &screen);
    }

    /// Whether pages that are visited from now on may run scripts.
    pub fn allow_scripts(&mut self, allowed: bool) {
        self.scripts = allowed;
        self.devtools("Emulation.setScriptExecutionDisabled", &json!({ "value": !allowed }));
    }

    // Going somewhere.

    /// Loads a path of the server.
    #[track_caller]
    pub fn visit(&self, path: &str) {
        self.wait(self.client.goto(&format!("http://{}{path}", self.server)));
    }

    /// Shows a page that no server has.
    #[track_caller]
    pub fn show(&self, html: &str) {
        let encoded: String = html.bytes().map(|byte| format!("%{byte:02x}")).collect();
        self.wait(self.client.goto(&format!("data:text/html;charset=utf-8,{encoded}")));
    }

    #[track_caller]
    pub fn back(&self) {
        self.wait(self.client.back());
    }

    #[track_caller]
    pub fn reload(&self) {
        self.wait(self.client.refresh());
    }

    /// Whoever was signed in is not any more, and the server does not know it.
    #[track_caller]
    pub fn forget_cookies(&self) {
        self.wait(self.client.delete_all_cookies());
    }

    /// The path and query of the page that is shown.
    #[track_caller]
    pub fn path(&self) -> String {
        let url = self.wait(self.client.current_url());
        url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()))
    }

    /// Waits until a page under this path is shown, whatever its query.
    #[track_caller]
    pub fn await_path(&self, path: &str) {
        eventually(&format!("the page {path}; it is {}", self.path()), || {
            (self.path().split('?').next() == Some(path)).then_some(())
        });
    }

    // Looking.

    /// The status with which the page that is shown was answered.
    #[track_caller]
    pub fn status(&self) -> u64 {
        self.evaluate("return performance.getEntriesByType('navigation')[0].responseStatus").as_u64().unwrap()
    }

    #[track_caller]
    pub fn title(&self) -> String {
        self.wait(self.client.title())
    }

    /// The text that one sees of the first element that fits this CSS selector.
    #[track_caller]
    pub fn text(&self, css: &str) -> String {
        // Another page may come between finding the element and reading it.
        let read = || {
            let element = self.first_shown(Locator::Css(css))?;
            self.runtime.block_on(element.text()).ok()
        };
        eventually(&format!("the text of {css} on {}", self.path()), read)
    }

    /// What is in the field with this label.
    #[track_caller]
    pub fn value(&self, label: &str) -> String {
        let element = self.shown(Locator::XPath(&field_path(label)));
        self.wait(element.prop("value")).unwrap_or_default()
    }

    /// The option that is chosen in the list with this label.
    #[track_caller]
    pub fn chosen(&self, label: &str) -> String {
        let element = self.shown(Locator::XPath(&field_path(label)));
        let script = "return arguments[0].selectedOptions[0].label";
        let argument = serde_json::to_value(&element).unwrap();
        self.wait(self.client.execute(script, vec![argument])).as_str().unwrap().to_owned()
    }

    /// Whether one sees an element that fits this CSS selector now.
    #[track_caller]
    pub fn sees(&self, css: &str) -> bool {
        self.first_shown(Locator::Css(css)).is_some()
    }

    /// Waits until one sees such an element.
    #[track_caller]
    pub fn await_shown(&self, css: &str) {
        self.shown(Locator::Css(css));
    }

    /// Waits until one sees none.
    #[track_caller]
    pub fn await_gone(&self, css: &str) {
        eventually(&format!("no {css} on {}", self.path()), || (!self.sees(css)).then_some(()));
    }

    /// Loads the page again and again, until one sees this in the first element that fits this CSS selector. What is counted
    /// is written down a moment later.
    #[track_caller]
    pub fn await_counted(&self, css: &str, text: &str) {
        eventually(&format!("{text:?} in {css} on {}", self.path()), || {
            self.reload();
            self.text(css).contains(text).then_some(())
        });
    }

    /// Waits until this is the text of the first element that fits this CSS selector.
    #[track_caller]
    pub fn await_text(&self, css: &str, text: &str) {
        eventually(&format!("{text:?} in {css} on {}", self.path()), || {
            (self.text(css) == text).then_some(())
        });
    }

    /// Everything that the server sent, or made of it.
    #[track_caller]
    pub fn source(&self) -> String {
        self.wait(self.client.source())
    }

    // Using the mouse.

    /// Clicks the link or the button with this text, or what folds a part of the page out.
    #[track_caller]
    pub fn click(&self, text: &str) {
        let path =
            format!("//*[self::a or self::button or self::summary][normalize-space()={}]", literal(text));
        let element = self.shown(Locator::XPath(&path));
        self.wait(element.click());
    }

    /// Clicks the first element that fits this CSS selector, where no text names it.
    #[track_caller]
    pub fn click_on(&self, css: &str) {
        let element = self.shown(Locator::Css(css));
        self.wait(element.click());
    }

    /// Puts a text into the field with this label, in the place of what was there.
    #[track_caller]
    pub fn fill(&self, label: &str, text: &str) {
        let element = self.shown(Locator::XPath(&field_path(label)));
        self.wait(element.clear());
        self.wait(element.send_keys(text));
    }

    /// Chooses an option of the list with this label.
    #[track_caller]
    pub fn choose(&self, label: &str, option: &str) {
        let element = self.shown(Locator::XPath(&field_path(label)));
        self.wait(element.select_by_label(option));
    }

    /// Clicks the check box or radio button with this label.
    #[track_caller]
    pub fn tick(&self, label: &str) {
        let element = self.shown(Locator::XPath(&field_path(label)));
        self.wait(element.click());
    }

    // Using the keyboard alone.

    /// Presses and lets go of one key after the other, on whatever has the focus.
    #[track_caller]
    pub fn press(&self, keys: &str) {
        let stroke = |actions: KeyActions, value| {
            actions.then(KeyAction::Down { value }).then(KeyAction::Up { value })
        };
        let actions = keys.chars().fold(KeyActions::new("keyboard".into()), stroke);
        self.wait(self.client.perform_actions(actions));
    }

    #[track_caller]
    pub fn press_with_control(&self, value: char) {
        let actions = KeyActions::new("keyboard".into())
            .then(KeyAction::Down { value: CONTROL })
            .then(KeyAction::Down { value })
            .then(KeyAction::Up { value })
            .then(KeyAction::Up { value: CONTROL });
        self.wait(self.client.perform_actions(actions));
    }

    /// Presses Tab until what is called so has the focus. One has to see where the focus is all the way.
    #[track_caller]
    pub fn tab_to(&self, name: &str) {
        let mut passed = Vec::new();
        while self.focused() != name {
            assert!(passed.len() < MOST_STOPS, "Tab never came to {name:?}, but to {passed:?}");
            self.press(TAB);
            let focused = self.focused();
            let seen = self.evaluate(include_str!("focus_is_seen.js")) == json!(true);
            assert!(seen, "one does not see that {focused:?} has the focus");
            passed.push(focused);
        }
    }

    /// What has the focus, by the name that a screen reader says.
    #[track_caller]
    pub fn focused(&self) -> String {
        let element = self.wait(self.client.active_element()).element_id();
        let answer = self.extra(Extra::get(format!("element/{}/computedlabel", element.as_ref())));
        answer.as_str().unwrap_or_default().to_owned()
    }

    /// What was copied last, told by pasting it somewhere else.
    #[track_caller]
    pub fn clipboard(&self) -> String {
        let page = self.wait(self.client.window());
        let tab = self.wait(self.client.new_window(true)).handle;
        self.wait(self.client.switch_to_window(tab));
        self.show("<!doctype html><textarea autofocus></textarea>");
        self.wait(self.shown(Locator::Css("textarea")).click());
        self.press_with_control('v');
        let pasted = self.evaluate("return document.querySelector('textarea').value");
        self.wait(self.client.close_window());
        self.wait(self.client.switch_to_window(page));
        pasted.as_str().unwrap().to_owned()
    }

    /// Clicks a button that makes a file of this name, and reads the file.
    #[track_caller]
    pub fn download(&self, button: &str, file: &str) -> String {
        let folder = self.profile.path().join("downloads");
        self.devtools("Page.setDownloadBehavior", &json!({ "behavior": "allow", "downloadPath": folder }));
        self.click(button);
        let file = folder.join(file);
        let content =
            eventually(button, || std::fs::read_to_string(&file).ok().filter(|text| !text.is_empty()));
        std::fs::remove_file(file).unwrap();
        content
    }

    // What the rest is made of.

    /// Writes a picture of the whole page.
    #[track_caller]
    pub fn picture(&self, file: &Path) {
        let height = self.evaluate("return document.documentElement.scrollHeight").as_u64().unwrap();
        self.resize(u32::try_from(height).unwrap().max(HEIGHT));
        let picture = self.wait(self.client.screenshot());
        self.resize(HEIGHT);
        std::fs::write(file, picture).unwrap();
    }

    /// What a script says. It runs whatever the page's policy is, and also where the page's own scripts do not.
    #[track_caller]
    pub fn evaluate(&self, script: &str) -> Value {
        self.wait(self.client.execute(script, Vec::new()))
    }

    /// What a script that takes its time says through its last argument. Without scripts no timer fires and no frame is
    /// announced, although promises are kept: there, what waits for either goes on at once.
    #[track_caller]
    pub fn evaluate_slowly(&self, script: &str) -> Value {
        let at_once = if self.scripts { "" } else { include_str!("at_once.js") };
        self.wait(self.client.execute_async(&format!("{at_once}{script}"), Vec::new()))
    }

    pub fn look(&self) -> Look {
        self.look
    }

    /// What the console and the network said since this was last asked.
    #[track_caller]
    pub fn log(&self) -> Vec<Value> {
        self.extra(Extra::log()).as_array().unwrap().clone()
    }

    #[track_caller]
    fn devtools(&self, name: &str, parameters: &Value) {
        self.extra(Extra::devtools(name, parameters));
    }

    #[track_caller]
    fn extra(&self, command: Extra) -> Value {
        self.wait(self.client.issue_cmd(command))
    }

    #[track_caller]
    fn shown(&self, locator: Locator<'_>) -> Element {
        eventually(&format!("{locator:?} on {}", self.path()), || self.first_shown(locator))
    }

    #[track_caller]
    fn first_shown(&self, locator: Locator<'_>) -> Option<Element> {
        let found = self.wait(self.client.find_all(locator));
        // One that has gone in between is not shown.
        found.into_iter().find(|element| self.runtime.block_on(element.is_displayed()).unwrap_or(false))
    }

    #[track_caller]
    fn wait<T, E: Display>(&self, work: impl Future<Output = Result<T, E>>) -> T {
        run(&self.runtime, work)
    }
}

#[track_caller]
fn run<T, E: Display>(runtime: &Runtime, work: impl Future<Output = Result<T, E>>) -> T {
    match runtime.block_on(async { tokio::time::timeout(PATIENCE, work).await }) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => panic!("the browser: {error}"),
        Err(_) => panic!("the browser does not answer"),
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let close = self.client.clone().close();
        let _ = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, close).await });
    }
}

/// The field that belongs to a label: beside it, in it, or labelled out of sight.
fn field_path(label: &str) -> String {
    let label = literal(label);
    let labels = format!("//label[starts-with(normalize-space(), {label})]");
    format!(
        "//*[@id={labels}/@for] | {labels}//*[self::input or self::select or self::textarea] | \
         //*[starts-with(@aria-label, {label})]"
    )
}

/// A text in XPath, which has no escapes.
fn literal(text: &str) -> String {
    assert!(!text.contains('"'), "{text} cannot be looked for");
    format!("\"{text}\"")
}
