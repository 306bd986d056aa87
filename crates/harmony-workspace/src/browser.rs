//! The browser that a request says it comes from, in a few words of ours: never a piece of what it says.

use std::fmt;

/// Names, and what of a `User-Agent` tells them, the more telling first: most browsers claim to be others as well.
const NAMES: [(&str, &str); 13] = [
    ("Edge", "Edg/"),
    ("Edge", "EdgA/"),
    ("Edge", "EdgiOS/"),
    ("Opera", "OPR/"),
    ("Samsung Internet", "SamsungBrowser/"),
    ("Firefox", "Firefox/"),
    ("Firefox", "FxiOS/"),
    ("Chrome", "CriOS/"),
    ("Chrome", "Chrome/"),
    ("Chrome", "Chromium/"),
    ("Safari", "Safari/"),
    ("curl", "curl/"),
    ("wget", "Wget/"),
];
/// The same of systems: Android is a Linux, too, and an iPhone like a Mac.
const SYSTEMS: [(&str, &str); 9] = [
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("ChromeOS", "CrOS"),
    ("Windows", "Windows"),
    ("macOS", "Macintosh"),
    ("FreeBSD", "FreeBSD"),
    ("Linux", "Linux"),
    ("Linux", "X11"),
];

/// A browser and its system, as far as they are known. Anybody may say anything: it helps people to tell their own sessions
/// apart, and nothing is decided by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Browser {
    name: Option<&'static str>,
    system: Option<&'static str>,
}

impl Browser {
    /// Of the value of a `User-Agent` header.
    #[must_use]
    pub fn of(user_agent: &str) -> Self {
        let known = |all: &[(&'static str, &str)]| {
            all.iter().find(|(_, mark)| user_agent.contains(mark)).map(|(name, _)| *name)
        };
        Self { name: known(&NAMES), system: known(&SYSTEMS) }
    }
}

/// Such as `Firefox on Linux`; nothing when nothing is known.
impl fmt::Display for Browser {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.name, self.system) {
            (Some(name), Some(system)) => write!(out, "{name} on {system}"),
            (Some(only), None) | (None, Some(only)) => out.write_str(only),
            (None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn browsers_are_known_by_what_they_alone_say() {
        for (user_agent, expected) in [
            ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
            (
                "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0.0.0 Safari/537.36",
                "Chrome on Windows",
            ),
            (
                "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Safari/537.36 Edg/138.0",
                "Edge on Windows",
            ),
            (
                "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15",
                "Safari on macOS",
            ),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/140.0 Mobile Safari/605",
                "Firefox on iPhone",
            ),
            (
                "Mozilla/5.0 (Linux; Android 15) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/138.0 Mobile Safari/537.36",
                "Chrome on Android",
            ),
            ("curl/8.14.1", "curl"),
            ("Something (Windows)", "Windows"),
            ("<script>alert(1)</script>", ""),
            ("", ""),
        ] {
            assert_eq!(Browser::of(user_agent).to_string(), expected, "{user_agent}");
        }
    }
}
