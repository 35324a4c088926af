//! Which rules decided one of the tests' requests, and which did not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use analysis::document::{Document, is_rule};
use hosts_access::source::{self, Contents};
use hosts_access::{TableKind, Tables};

use super::report::Outcome;

/// The rules of all tables that were tested.
#[derive(Debug, Default)]
pub struct Coverage {
    /// By table and last line: what is written there, and whether it decided something.
    rules: BTreeMap<(PathBuf, u32), (Vec<u8>, bool)>,
}

impl Coverage {
    /// Counts what some tests of these tables have reached.
    pub fn add(&mut self, tables: &Tables, outcomes: &[Outcome]) {
        for kind in [TableKind::Allow, TableKind::Deny] {
            let path = tables.path(kind);
            let Contents::Text(text) = source::read(path).0 else {
                continue;
            };
            let reached: BTreeSet<u32> = outcomes
                .iter()
                .filter_map(|outcome| outcome.rule)
                .filter(|(table, _)| *table == kind)
                .map(|(_, line)| line)
                .collect();
            let document = Document::new(path.to_path_buf(), text);
            for entry in &document.entries {
                let line = document.line(entry);
                if is_rule(&line) {
                    let key = (path.to_path_buf(), entry.last_line);
                    let rule = self
                        .rules
                        .entry(key)
                        .or_insert_with(|| (line.trim_ascii().to_vec(), false));
                    rule.1 |= reached.contains(&entry.last_line);
                }
            }
        }
    }

    /// How many rules there are.
    pub fn count(&self) -> usize {
        self.rules.len()
    }

    /// The rules that decided nothing: file, line and text.
    pub fn missed(&self) -> Vec<(&PathBuf, u32, &[u8])> {
        let missed = self.rules.iter().filter(|(_, (_, is_reached))| !is_reached);
        missed
            .map(|((path, line), (text, _))| (path, *line, &text[..]))
            .collect()
    }
}
