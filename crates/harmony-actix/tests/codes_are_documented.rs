//! `docs/http-api.md` has an entry for each error code, with its status, in the order of [`Code::ALL`], and for nothing else.

use harmony_actix::Code;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/http-api.md");

#[test]
fn each_error_code_has_its_entry_in_the_documentation_and_no_other_has_one() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let entries: Vec<_> = page.lines().filter(|line| line.starts_with("### `")).collect();
    let heading = |code: &Code| format!("### `{}` ({})", code.as_str(), code.status().as_u16());
    let codes: Vec<_> = Code::ALL.iter().map(heading).collect();
    assert_eq!(entries, codes);
}

#[test]
fn no_entry_is_empty() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    for entry in page.split("\n### `").skip(1) {
        let text = entry.split_once('\n').unwrap().1.trim();
        assert!(!text.is_empty() && !text.starts_with('#'), "{entry}");
    }
}
