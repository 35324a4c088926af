//! The manual pages name exactly the options and patterns that there are.

use std::collections::BTreeSet;
use std::path::Path;

use hosts_access::syntax::brace::BraceName;
use hosts_access::syntax::option::{Keyword, Takes};

fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../dist/man")
        .join(name);
    std::fs::read_to_string(path).unwrap()
}

/// Every item of a list whose first word is an option, with what follows.
fn items(page: &str) -> Vec<(&str, &str)> {
    let items = page.lines().filter_map(|line| line.strip_prefix(".It Cm "));
    items
        .map(|item| item.split_once(' ').unwrap_or((item, "")))
        .collect()
}

#[test]
fn hosts_options_names_every_option_and_no_other() {
    let page = page("hosts_options.5");
    let named: BTreeSet<_> = items(&page).into_iter().map(|(word, _)| word).collect();
    let known: BTreeSet<_> = Keyword::ALL.into_iter().map(Keyword::as_str).collect();
    assert_eq!(named, known);
    let told: BTreeSet<_> = Keyword::ALL.into_iter().map(Keyword::help).collect();
    assert_eq!(told.len(), known.len(), "each is told from the others");
    assert!(told.iter().all(|help| help.contains(' ')), "{told:?}");
    // And each with a value where it takes one, on the page and in helps.
    for (word, value) in items(&page) {
        let takes = Keyword::parse(word.as_bytes()).unwrap().takes();
        let shown = match value {
            "" => Takes::Nothing,
            value if value.starts_with("Op ") => Takes::Optional,
            _ => Takes::Value,
        };
        assert_eq!(shown, takes, "{word} {value}");
        let explained = match Keyword::parse(word.as_bytes()).unwrap().value() {
            "" => Takes::Nothing,
            value if value.starts_with('[') && value.ends_with(']') => Takes::Optional,
            _ => Takes::Value,
        };
        assert_eq!(explained, takes, "{word}");
    }
}

#[test]
fn hosts_access_names_every_pattern_in_braces() {
    let page = page("hosts_access.5");
    for name in BraceName::ALL {
        let shown = match name.value() {
            "" => format!("{{{}}}", name.as_str()),
            _ => format!("{{{}=", name.as_str()),
        };
        assert!(page.contains(&shown), "{shown}");
    }
}

/// The additions come in the order of the table, which is the order they stand in.
#[test]
fn additions_are_named_in_their_order() {
    let page = page("hosts_options.5");
    let words: Vec<_> = items(&page)
        .into_iter()
        .filter_map(|(word, _)| Keyword::parse(word.as_bytes()))
        .filter(|keyword| keyword.is_addition())
        .collect();
    assert!(words.is_sorted_by_key(|keyword| keyword.order()), "{words:?}");
    assert_eq!(words.len(), 5);
}
