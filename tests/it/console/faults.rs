//! What is wrong with a page that a browser shows, found by the browser itself.

use serde_json::Value;

use super::browser::Browser;

impl Browser {
    /// What is wrong with the page that is shown, each as a line; nothing, if it is as it should be.
    ///
    /// axe-core finds no violation; nothing moved while it loaded; it is as wide as the screen; the console is silent, which
    /// it is not when the policy was violated or something was asked of another server.
    #[track_caller]
    pub fn faults(&self) -> Vec<String> {
        [self.barriers(), self.shifts(), self.overflow(), self.complaints()].concat()
    }

    /// Asserts that there are none.
    #[track_caller]
    pub fn assert_sound(&self) {
        let faults = self.faults();
        assert!(faults.is_empty(), "{}\n{}\n", self.path(), faults.join("\n"));
    }

    /// What keeps people out, in the judgement of axe-core.
    #[track_caller]
    fn barriers(&self) -> Vec<String> {
        if self.evaluate("return Boolean(window.axe)") != Value::Bool(true) {
            let axe = std::fs::read_to_string(harmony_tests::browser_tool("TEST_AXE")).expect("axe-core");
            self.evaluate(&axe);
        }
        lines(&self.evaluate_slowly(include_str!("axe.js")))
    }

    #[track_caller]
    fn shifts(&self) -> Vec<String> {
        lines(&self.evaluate_slowly(include_str!("shifts.js")))
    }

    #[track_caller]
    fn overflow(&self) -> Vec<String> {
        // Not the window's inner width: a phone zooms out until the widest thing fits.
        let laid_out = self.evaluate("return document.documentElement.clientWidth").as_u64().unwrap();
        let screen = u64::from(self.look().width);
        if laid_out > screen {
            return vec![format!("the page is laid out {laid_out} wide on a screen of {screen}")];
        }
        lines(&self.evaluate(include_str!("overflow.js")))
    }

    /// How many forms a script sent that came back with mistakes: the network writes a line for each. Nothing else was said.
    #[track_caller]
    pub fn forms_sent_back(&self) -> usize {
        let log = self.log();
        for line in &log {
            let said = line["message"].as_str().unwrap();
            assert!(line["source"] == "network" && said.contains(" 422 "), "{line}");
        }
        log.len()
    }

    /// What the console and the network said, but for the status of the page itself.
    #[track_caller]
    pub fn complaints(&self) -> Vec<String> {
        let page = self.evaluate("return location.href");
        // A page that says why somebody is refused has a status that the network finds worth a line.
        let is_the_page = |entry: &Value| {
            entry["source"] == "network"
                && entry["message"].as_str().unwrap().starts_with(&format!("{} ", page.as_str().unwrap()))
        };
        // Asked for by the browser itself where an answer names no icon, as those for programs do not.
        let is_an_icon = |entry: &Value| entry["message"].as_str().unwrap().contains("/favicon.ico ");
        let log = self.log();
        let complaints = log.iter().filter(|entry| !is_the_page(entry) && !is_an_icon(entry));
        complaints.map(|entry| format!("console: {}", entry["message"].as_str().unwrap())).collect()
    }
}

fn lines(said: &Value) -> Vec<String> {
    said.as_array().unwrap().iter().map(|line| line.as_str().unwrap().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{browser::Look, world::World};

    const GOOD: &str = "<!doctype html><html lang=en><meta name=viewport content='width=device-width'>\
                        <link rel=icon href='data:,'><title>A page</title><main><h1>A page</h1>";

    /// Shows the good page and more, and finds exactly one fault, which says this.
    #[track_caller]
    fn assert_found(browser: &Browser, more: &str, what: &str) {
        browser.show(&format!("{GOOD}{more}"));
        let faults = browser.faults();
        assert!(faults.len() == 1 && faults[0].contains(what), "{more}: {faults:?}");
    }

    #[test]
    fn each_kind_of_fault_is_found_and_a_good_page_has_none() {
        let (_place, server) = World::empty();
        let mut browser = Browser::open(&server);
        for (scripts, look) in [(true, Look::WIDE_LIGHT), (false, Look::NARROW_DARK)] {
            browser.allow_scripts(scripts);
            browser.wear(look);
            browser.show(GOOD);
            assert_eq!(browser.faults(), [""; 0], "{look}");
            assert_found(&browser, "<input>", "axe label ");
            assert_found(
                &browser,
                "<p style='color:#ddd;background:#fff'>Too pale to read",
                "axe color-contrast ",
            );
            assert_found(
                &browser,
                "<a href='/a' style='display:inline-block;height:9px;width:9px;overflow:hidden'>One</a>\
                 <a href='/b' style='display:inline-block;height:9px;width:9px;overflow:hidden'>Two</a>",
                "axe target-size ",
            );
            assert_found(&browser, "<p style='width:3000px'>Too wide", "3000px");
            assert_found(&browser, "<img alt='' src='http://elsewhere.example/a.png'>", "elsewhere.example");
            browser.show(&GOOD.replace("<title>A page</title>", ""));
            assert_eq!(browser.faults().len(), 1, "{:?}", browser.faults());
        }
        browser.show(&GOOD.replace("device-width", "980"));
        assert_eq!(browser.faults(), ["the page is laid out 980 wide on a screen of 390"]);
    }

    #[test]
    fn what_moves_and_what_the_policy_forbids_is_found() {
        let (_place, server) = World::empty();
        let browser = Browser::open(&server);
        // Late means after it was drawn, and it is noted when it is drawn again.
        let late = "<p>Moved</p><script>const drawn = next => requestAnimationFrame(() => requestAnimationFrame(next)); \
                    drawn(() => { document.querySelector('h1').insertAdjacentHTML('beforebegin', '<p>A banner</p>'); \
                    drawn(() => document.querySelector('main').insertAdjacentHTML('beforeend', '<i id=late>.</i>')) })</script>";
        browser.show(&format!("{GOOD}{late}"));
        browser.await_shown("#late");
        let faults = browser.faults();
        assert!(faults.len() == 1 && faults[0].starts_with("it moved by "), "{faults:?}");
        assert_found(
            &browser,
            "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\"><script>1</script>",
            "Content Security Policy",
        );
        assert_found(&browser, "<script>console.error('it broke')</script>", "it broke");
    }
}
