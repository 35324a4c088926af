//! What stands beside the tables: the lists that their patterns name, and files that were meant to be a table and have
//! another name. Files elsewhere are the machine's, which is looked at only where that is asked for.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use analysis::check::{Finding, Span, host as codes, words};
use analysis::document::{Content, content};
use hosts_access::TableKind;
use hosts_access::files;
use hosts_access::source::{self, Contents};
use hosts_access::syntax::pattern::HostPattern;

use super::input::Policy;

/// A list that a pattern names and that stands beside the tables.
struct List {
    path: Vec<u8>,
    /// The rule that names it, itself or by another list.
    named_by: (TableKind, Span),
    contents: Contents,
}

/// Everything of interest beside the tables of a policy.
pub struct Beside {
    lists: Vec<List>,
    stray: Vec<(TableKind, PathBuf)>,
}

impl Beside {
    /// Looks beside the tables.
    pub fn new(policy: &Policy) -> Self {
        let directories = policy.tables().iter().filter_map(|(_, document)| {
            let directory = document.path.parent()?;
            let directory = if directory.as_os_str().is_empty() {
                Path::new(".")
            } else {
                directory
            };
            std::fs::canonicalize(directory).ok()
        });
        let mut directories: Vec<PathBuf> = directories.collect();
        directories.dedup();
        let mut beside = Beside {
            lists: Vec::new(),
            stray: directories
                .iter()
                .flat_map(|directory| stray(directory))
                .collect(),
        };
        for (table, document) in policy.tables().iter() {
            // Few tables name a list.
            if !document.text.contains(&b'/') {
                continue;
            }
            for entry in &document.entries {
                let line = document.line(entry);
                if !line.contains(&b'/') {
                    continue;
                }
                let Content::Rule(rule) = content(&line) else {
                    continue;
                };
                for token in rule.clients.tokens() {
                    if let HostPattern::File(path) = token.pattern.host {
                        let place = (table, Span::of(document, entry, &token.span));
                        beside.add(path, &place, &directories);
                    }
                }
            }
        }
        beside
    }

    fn add(&mut self, path: &[u8], named_by: &(TableKind, Span), directories: &[PathBuf]) {
        const MOST: usize = 256;
        let file = files::path(path);
        let parent = file
            .parent()
            .and_then(|parent| std::fs::canonicalize(parent).ok());
        let is_beside = parent.is_some_and(|parent| directories.contains(&parent));
        let is_known = self.lists.iter().any(|list| list.path == path);
        if !is_beside || is_known || self.lists.len() == MOST || source::endless(file).is_some() {
            return;
        }
        let contents = source::read(file).0;
        let named: Vec<Vec<u8>> = match &contents {
            Contents::Text(text) => files::words(text)
                .filter(|(_, word)| word.first() == Some(&b'/'))
                .map(|(_, word)| word.to_vec())
                .collect(),
            Contents::Missing | Contents::Unreadable(_) => Vec::new(),
        };
        self.lists.push(List {
            path: path.to_vec(),
            named_by: named_by.clone(),
            contents,
        });
        for path in named {
            self.add(&path, named_by, directories);
        }
    }

    /// What the lists hold, by path.
    pub fn texts(&self) -> HashMap<Vec<u8>, Vec<u8>> {
        let texts = self.lists.iter().filter_map(|list| match &list.contents {
            Contents::Text(text) => Some((list.path.clone(), text.clone())),
            Contents::Missing | Contents::Unreadable(_) => None,
        });
        texts.collect()
    }

    /// What is wrong with them.
    pub fn findings(&self) -> Vec<Finding> {
        let mut found = Vec::new();
        for List {
            path,
            named_by,
            contents,
        } in &self.lists
        {
            let (table, span) = named_by;
            let shown = analysis::check::quoted(path);
            match contents {
                Contents::Text(text) => found.extend(words(*table, files::path(path), text)),
                Contents::Missing => {
                    let message = format!("{shown} does not exist, so it matches nothing");
                    found.push(Finding::with_remedy(
                        &codes::NO_FILE,
                        *table,
                        span.clone(),
                        message,
                    ));
                }
                Contents::Unreadable(error) => {
                    let message = format!("{shown} cannot be read: {}", hosts_access::decide::reason(error));
                    found.push(Finding::with_remedy(
                        &codes::NO_FILE,
                        *table,
                        span.clone(),
                        message,
                    ));
                }
            }
        }
        for (table, path) in &self.stray {
            let span = Span {
                line: 1,
                column: 1,
                bytes: 0..0,
            };
            let right = match table {
                TableKind::Allow => "hosts.allow",
                TableKind::Deny => "hosts.deny",
            };
            let message = format!("nothing reads this file: the table is called {right}");
            let mut finding = Finding::with_remedy(&codes::STRAY_TABLE, *table, span, message);
            finding.other_file = Some(path.as_path().into());
            found.push(finding);
        }
        found
    }
}

/// Files of a directory that were meant to be a table.
fn stray(directory: &Path) -> Vec<(TableKind, PathBuf)> {
    const ALLOW: [&str; 9] = [
        "hosts.accept",
        "hosts.allowed",
        "hosts.allows",
        "hosts.alow",
        "hosts.permit",
        "host.allow",
        "hosts_allow",
        "hosts-allow",
        "hosts.allow.txt",
    ];
    const DENY: [&str; 9] = [
        "hosts.denied",
        "hosts.denies",
        "hosts.reject",
        "hosts.drop",
        "hosts.block",
        "host.deny",
        "hosts_deny",
        "hosts-deny",
        "hosts.deny.txt",
    ];
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    let kind = |name: &str| {
        let lower = name.to_ascii_lowercase();
        // Only letters of another case.
        let is_shouted = lower != name;
        if ALLOW.contains(&&*lower) || (is_shouted && lower == "hosts.allow") {
            Some(TableKind::Allow)
        } else if DENY.contains(&&*lower) || (is_shouted && lower == "hosts.deny") {
            Some(TableKind::Deny)
        } else {
            None
        }
    };
    let mut found: Vec<_> = entries
        .flatten()
        .filter_map(|entry| Some((kind(entry.file_name().to_str()?)?, entry.path())))
        .collect();
    found.sort_by(|a, b| a.1.cmp(&b.1));
    found
}
