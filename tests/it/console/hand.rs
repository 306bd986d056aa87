//! A person at a browser, with a mouse or with nothing but the keyboard: what they do reads the same.

use super::browser::{Browser, DOWN, ENTER, SPACE, TAB};

/// How many keys one may have to press until a choice is reached.
const MOST_STROKES: usize = 200;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    Mouse,
    Keyboard,
}

pub struct Hand<'a> {
    pub browser: &'a Browser,
    means: Means,
}

impl<'a> Hand<'a> {
    pub const fn new(browser: &'a Browser, means: Means) -> Self {
        Self { browser, means }
    }

    /// Uses the link or the button with this text.
    #[track_caller]
    pub fn follow(&self, text: &str) {
        match self.means {
            Means::Mouse => self.browser.click(text),
            Means::Keyboard => {
                self.browser.tab_to(text);
                self.browser.press(ENTER);
            }
        }
    }

    /// Puts a text into the field with this label, in the place of what was there.
    #[track_caller]
    pub fn enter(&self, label: &str, text: &str) {
        match self.means {
            Means::Mouse => self.browser.fill(label, text),
            Means::Keyboard => {
                self.browser.tab_to(label);
                self.browser.press_with_control('a');
                self.browser.press(text);
            }
        }
    }

    /// Chooses an option of the list with this label.
    #[track_caller]
    pub fn choose(&self, label: &str, option: &str) {
        match self.means {
            Means::Mouse => self.browser.choose(label, option),
            Means::Keyboard => {
                self.browser.tab_to(label);
                self.browser.press(option);
            }
        }
        let chosen = self.browser.chosen(label);
        assert_eq!(chosen, option, "{label}");
    }

    /// Chooses the check box or radio button whose label begins like this.
    #[track_caller]
    pub fn tick(&self, label: &str) {
        if self.means == Means::Mouse {
            return self.browser.tick(label);
        }
        for _ in 0..MOST_STROKES {
            if self.browser.focused().starts_with(label) {
                return self.browser.press(SPACE);
            }
            // Tab goes past a group of radio buttons as one; the arrows go through it.
            let in_a_group = self.browser.evaluate("return document.activeElement.type === 'radio'");
            self.browser.press(if in_a_group == true { DOWN } else { TAB });
        }
        panic!("no key came to {label:?}");
    }
}
