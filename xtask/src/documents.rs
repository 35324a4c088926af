//! Do the documents tell the truth, as far as a program can see? Links lead somewhere, the tests that
//! `docs/deviations.md` names exist, and crates import what `docs/architecture.md` says.

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

/// Which of our crates each imports, and whether it may be `unsafe`, as a crate says it.
fn imports(crates: &[String], name: &str) -> (Vec<String>, bool) {
    let directory = root().join("crates").join(name);
    let manifest = fs::read_to_string(directory.join("Cargo.toml")).expect("a manifest");
    let dependencies = manifest
        .split("\n[")
        .find_map(|section| section.strip_prefix("dependencies]"))
        .unwrap_or_default();
    let imported = crates.iter().filter(|other| {
        let mut names = dependencies
            .lines()
            .filter_map(|line| line.split(['.', ' ', '=']).next());
        names.any(|dependency| dependency == *other)
    });
    let start = ["src/lib.rs", "src/main.rs"].map(|file| directory.join(file));
    let start = start.iter().find_map(|file| fs::read_to_string(file).ok());
    let is_safe = start.expect("a crate").contains("#![forbid(unsafe_code)]");
    (imported.cloned().collect(), !is_safe)
}

#[test]
fn imports_run_as_the_map_says() {
    let crates = fs::read_dir(root().join("crates")).expect("crates");
    let mut crates: Vec<String> = crates
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    crates.sort();
    let text = fs::read_to_string(root().join("docs/architecture.md")).expect("docs/architecture.md");
    let table = text.split("| crate | imports |").nth(1).expect("the table");
    let mut said: Vec<_> = table
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(name, row)| {
            let imported = between(row, "`", '`').into_iter().step_by(2).map(str::to_owned);
            (name.to_owned(), imported.collect(), row.ends_with("| yes |"))
        })
        .collect();
    said.sort();
    let done: Vec<(String, Vec<String>, bool)> = crates
        .iter()
        .map(|name| {
            let (imported, is_unsafe) = imports(&crates, name);
            (name.clone(), imported, is_unsafe)
        })
        .collect();
    assert_eq!(said, done);
}
