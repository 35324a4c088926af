//! Copies of the databases that rules ask: see `state::geo`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::Serialize;
use state::geo::Database;
use state::{Answer, State};

use super::{Args, What};
use crate::output;

/// What was done for one database.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy: Option<String>,
    what: What,
    /// Why it failed, with the file's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) why: Option<String>,
}

/// Copies the databases that these tables ask, or removes all copies.
pub(super) fn all(args: &Args, tables: &[&Path]) -> Vec<Done> {
    let state = State::new(false);
    let databases: [(Answer<&Database>, &[&[u8]]); 2] = [
        (state.countries(), &[b"{country=", b"{continent="]),
        (state.systems(), &[b"{asn="]),
    ];
    let mut done = Vec::new();
    for (database, patterns) in databases {
        let is_wanted = args.remove || tables.iter().any(|table| mentions(table, patterns, true));
        if is_wanted {
            done.extend(
                database
                    .and_then(|database| of(args, database))
                    .unwrap_or_else(|unknown| {
                        vec![Done {
                            database: None,
                            copy: None,
                            what: What::Failed,
                            why: Some(unknown.to_string()),
                        }]
                    }),
            );
        }
    }
    // Countries and systems may be in one file.
    done.dedup_by(|second, first| (&second.copy, &second.why) == (&first.copy, &first.why));
    done
}

/// Copies a database, or removes its copies.
fn of(args: &Args, database: &Database) -> Answer<Vec<Done>> {
    if args.remove {
        let removed = database.remove_copies()?.into_iter().map(|copy| Done {
            database: None,
            copy: Some(shown(&copy)),
            what: What::Removed,
            why: None,
        });
        return Ok(removed.collect());
    }
    if args.refresh && !database.has_copy() {
        return Ok(Vec::new());
    }
    let copied = database.copy()?;
    Ok(vec![Done {
        database: Some(shown(&copied.database)),
        copy: Some(shown(&copied.copy)),
        what: if copied.is_new {
            What::Written
        } else {
            What::Current
        },
        why: None,
    }])
}

/// The line that says so.
pub(super) fn line(done: &Done) -> String {
    let copy = done.copy.as_deref().unwrap_or_default();
    let copy = output::escape(copy.as_bytes());
    let of = done.database.as_deref().unwrap_or_default();
    let of = output::escape(of.as_bytes());
    match done.what {
        What::Removed => format!("{copy}: removed\n"),
        What::Current => format!("{copy}: as {of} is\n"),
        What::Failed => String::new(),
        What::Written | What::NotNeeded | What::None => format!("{copy}: copied from {of}\n"),
    }
}

fn shown(path: &Path) -> String {
    output::utf8(path.as_os_str().as_encoded_bytes())
}

/// Does a table mention one of these patterns, or a file of clients that it names? It may do so in a comment.
fn mentions(table: &Path, patterns: &[&[u8]], follow: bool) -> bool {
    let Ok(text) = fs::read(table) else {
        return false;
    };
    let is_in = |pattern: &&[u8]| {
        text.windows(pattern.len())
            .any(|part| part.eq_ignore_ascii_case(pattern))
    };
    let between = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b',' | b':');
    let mut files = text.split(between).filter(|word| word.starts_with(b"/"));
    patterns.iter().any(is_in)
        || follow
            && files.any(|word| {
                let file = Path::new(OsStr::from_bytes(word));
                file.is_file() && mentions(file, patterns, false)
            })
}
