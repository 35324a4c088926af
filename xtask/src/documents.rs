//! Do the documents tell the truth, as far as a program can see? Links lead somewhere, and the tests that
//! `docs/deviations.md` names exist.

use std::fs;
use std::path::{Path, PathBuf};

use crate::shell::root;

/// Every file below a directory whose name ends so.
fn below(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            found.extend(below(&path, ending));
        } else if name.ends_with(ending) {
            found.push(path);
        }
    }
    found
}

/// What stands between each `open` and the next `close`.
fn between<'t>(text: &'t str, open: &str, close: char) -> Vec<&'t str> {
    let rests = text.split(open).skip(1);
    rests.filter_map(|rest| rest.split(close).next()).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for document in below(&root(), ".md") {
        let text = fs::read_to_string(&document).expect("a document");
        for link in between(&text, "](", ')') {
            let file = link.split('#').next().unwrap_or_default();
            let elsewhere = file.contains("://") || file.starts_with("mailto:");
            if !file.is_empty() && !elsewhere && !document.with_file_name(file).exists() {
                broken.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn the_tests_that_pin_deviations_exist() {
    let text = fs::read_to_string(root().join("docs/deviations.md")).expect("docs/deviations.md");
    let sources: String = ["crates", "tests"]
        .iter()
        .flat_map(|directory| below(&root().join(directory), ".rs"))
        .map(|file| fs::read_to_string(file).expect("a source"))
        .collect();
    let pinned: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("| "))
        .filter_map(|line| line.rsplit('|').nth(1))
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|name| !name.contains("::"))
        .collect();
    assert!(pinned.len() > 20, "{pinned:?}");
    let missing: Vec<_> = pinned
        .iter()
        .filter(|name| !sources.contains(&format!("fn {name}(")))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}
