//! Reads as much Rust as the rules of tidiness need: where code is, where functions begin and end.

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// The line of the word `fn`, from 1.
    pub line: usize,
    /// From that line to the closing brace, both included.
    pub lines: usize,
}

/// The source with a space for every character of a comment or literal; the lines stay where they are.
pub fn code(source: &str) -> String {
    let chars: Vec<char> = source.chars().collect();
    let mut code = String::with_capacity(source.len());
    let mut at = 0;
    while at < chars.len() {
        let end = opaque_end(&chars, at);
        if end == at {
            code.push(chars[at]);
            at += 1;
        } else {
            code.extend(chars[at..end].iter().map(|&c| if c == '\n' { '\n' } else { ' ' }));
            at = end;
        }
    }
    code
}

/// The functions of some [`code`], nested ones as well.
pub fn functions(code: &str) -> Vec<Function> {
    let chars: Vec<char> = code.chars().collect();
    let mut found = Vec::new();
    for at in words(&chars, "fn") {
        let Some((name, after)) = word_after(&chars, at + 2) else { continue };
        let Some(open) = body_start(&chars, after) else { continue };
        let line = 1 + newlines(&chars[..at]);
        found.push(Function { name, line, lines: 1 + newlines(&chars[at..block_end(&chars, open)]) });
    }
    found
}

/// The names of all modules that are declared or written in some [`code`].
pub fn modules(code: &str) -> Vec<String> {
    let chars: Vec<char> = code.chars().collect();
    words(&chars, "mod")
        .into_iter()
        .filter_map(|at| word_after(&chars, at + 3))
        .map(|(name, _)| name)
        .collect()
}

/// The number of lines without a `#[cfg(test)] mod tests { … }` that ends the file.
pub fn lines_without_tests(code: &str) -> usize {
    let start = code
        .match_indices("#[cfg(test)]")
        .map(|(start, _)| start)
        .find(|start| ends_in_tests(&code[*start..]));
    code[..start.unwrap_or(code.len())].lines().count()
}

fn ends_in_tests(code: &str) -> bool {
    let Some(module) = code["#[cfg(test)]".len()..].trim_start().strip_prefix("mod tests {") else {
        return false;
    };
    let chars: Vec<char> = "{".chars().chain(module.chars()).collect();
    chars[block_end(&chars, 0)..].iter().all(|c| c.is_whitespace())
}

/// Where the comment or literal that starts at `at` ends; `at` itself where none starts.
fn opaque_end(chars: &[char], at: usize) -> usize {
    let next = |offset: usize| chars.get(at + offset).copied().unwrap_or('\0');
    match (chars[at], next(1)) {
        ('/', '/') => find(chars, at, "\n"),
        ('/', '*') => block_comment_end(chars, at),
        ('"', _) => quoted_end(chars, at + 1, '"'),
        ('r', '"' | '#') if starts_literal(chars, at) => raw_string_end(chars, at),
        ('\'', '\\') => quoted_end(chars, at + 1, '\''),
        // Anything else after a quote is a lifetime.
        ('\'', _) if next(2) == '\'' => at + 3,
        _ => at,
    }
}

fn block_comment_end(chars: &[char], start: usize) -> usize {
    let (mut at, mut depth) = (start, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (at, depth) = (at + 2, depth + 1),
            ('*', Some('/')) => (at, depth) = (at + 2, depth - 1),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

fn quoted_end(chars: &[char], start: usize, quote: char) -> usize {
    let mut at = start;
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    (at + 1).min(chars.len())
}

fn raw_string_end(chars: &[char], start: usize) -> usize {
    let hashes = chars[start + 1..].iter().take_while(|c| **c == '#').count();
    let open = start + 1 + hashes;
    if chars.get(open) != Some(&'"') {
        return start; // r#type: a raw identifier
    }
    let close = format!("\"{}", "#".repeat(hashes));
    (find(chars, open + 1, &close) + close.len()).min(chars.len())
}

/// Whether the `r` at `at` is the letter of a raw string: alone, or after the `b` or `c` of `br"…"` and `cr"…"`.
fn starts_literal(chars: &[char], at: usize) -> bool {
    let word: Vec<char> = chars[..at].iter().rev().take_while(|c| is_word(**c)).copied().collect();
    matches!(word.as_slice(), [] | ['b'] | ['c'])
}

/// The brace that opens a function's body; none where the signature is all there is.
fn body_start(chars: &[char], start: usize) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in chars.iter().enumerate().skip(start) {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth -= 1,
            '{' if depth == 0 => return Some(at),
            ';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// One past the brace that closes the one at `open`.
fn block_end(chars: &[char], open: usize) -> usize {
    let mut depth = 0;
    for (at, c) in chars.iter().enumerate().skip(open) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    chars.len()
}

/// Where `word` stands as a word of its own.
fn words(chars: &[char], word: &str) -> Vec<usize> {
    let wanted: Vec<char> = word.chars().collect();
    let alone = |at: usize| {
        let before = at.checked_sub(1).and_then(|before| chars.get(before));
        let after = chars.get(at + wanted.len());
        ![before, after].into_iter().flatten().any(|c| is_word(*c))
    };
    (0..chars.len()).filter(|at| chars[*at..].starts_with(&wanted) && alone(*at)).collect()
}

/// The word that follows after white space, and where it ends.
fn word_after(chars: &[char], at: usize) -> Option<(String, usize)> {
    let start = at + chars.get(at..)?.iter().take_while(|c| c.is_whitespace()).count();
    let name: String = chars[start..].iter().take_while(|c| is_word(**c)).collect();
    let end = start + name.chars().count();
    (start > at && !name.is_empty()).then_some((name, end))
}

fn find(chars: &[char], start: usize, text: &str) -> usize {
    let wanted: Vec<char> = text.chars().collect();
    (start..chars.len()).find(|at| chars[*at..].starts_with(&wanted)).unwrap_or(chars.len())
}

fn newlines(chars: &[char]) -> usize {
    chars.iter().filter(|c| **c == '\n').count()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_nothing_else_is() {
        for (source, expected) in [
            ("a // b { }\nc", "a         \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            (r#"f("a\"{", b"}")"#, r#"f(      , b   )"#),
            ("r#\"a\"}\n\"# + br\"{\" + r#type", "      \n   + b     + r#type"),
            (r"'{' '\'' '\u{7d}' b'}'", r"                  b   "),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("\"never closed {", "               "),
        ] {
            assert_eq!(code(source), expected, "{source}");
        }
    }

    #[test]
    fn functions_are_found_with_their_lengths_however_deep_they_lie() {
        let source = "trait T {\n    fn no_body(&self) -> [u8; 2];\n}\nasync fn outer(f: fn(u8) -> u8)\nwhere\n    u8: Copy,\n{\n    fn inner() {}\n    let _ = \"fn quoted() {\";\n}\n";
        let function = |name: &str, line, lines| Function { name: name.to_owned(), line, lines };
        assert_eq!(functions(&code(source)), [function("outer", 4, 7), function("inner", 8, 1)]);
    }

    #[test]
    fn only_a_module_of_tests_that_ends_the_file_is_left_out_of_its_length() {
        assert_eq!(lines_without_tests("a\nb\n#[cfg(test)]\nmod tests {\n    fn f() {}\n}\n"), 2);
        assert_eq!(lines_without_tests("a\n#[cfg(test)]\nmod tests {\n}\nb\n"), 5);
        assert_eq!(lines_without_tests("a\n#[cfg(test)]\nmod tests;\n"), 3);
        assert_eq!(lines_without_tests("a\n#[cfg(test)]\nfn f() {}\n"), 3);
    }

    #[test]
    fn modules_are_found_by_their_names() {
        assert_eq!(modules(&code("pub mod a;\nmod b {}\n// mod c;\nlet modulo = 1;")), ["a", "b"]);
    }
}
