//! `tcpwrap edit`: change the tables without locking anybody out.
//!
//! As visudo does it: a copy is edited, looked at, and put in place whole, or not at all.

mod editor;
mod review;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hosts_access::{TableKind, Tables};

use crate::install::{self, Original};
use crate::output;
use crate::pair::{self, Change, Way};
use crate::rules::Rules;

/// Edit rule files safely
///
/// Edits a copy with $VISUAL or $EDITOR, checks it, shows what changes and whether you would still be let in, and
/// puts it in place when you say so. The previous version is kept beside it, with a ~ behind its name.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  the change is in place, or nothing had changed\n  1  the change was given up\n  \
    2  something went wrong; the message says what, if anything, is in place"
)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    /// Which tables to edit
    #[arg(value_enum, value_name = "TABLE", default_values_t = [Table::Allow])]
    tables: Vec<Table>,
    /// Ask about the client at this address, instead of this session's
    #[arg(long, value_name = "ADDRESS")]
    client: Option<std::net::IpAddr>,
    /// The daemon through which you come in
    #[arg(long, value_name = "NAME", default_value = "sshd")]
    daemon: String,
}

/// One of the tables, on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Table {
    /// hosts.allow
    Allow,
    /// hosts.deny
    Deny,
}

/// One table being edited.
struct Edited {
    original: Original,
    path: PathBuf,
    copy: PathBuf,
}

impl Edited {
    fn text(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.copy).map_err(|error| output::at(&self.copy, &error))
    }

    fn change<'c>(&'c self, text: &'c [u8]) -> Change<'c> {
        let original = &self.original;
        Change { original, text }
    }
}

/// The locks of what is edited. Tables that are not there yet have that of their directory in common.
#[derive(Default)]
struct Locks(Vec<(PathBuf, install::Lock)>);

impl Locks {
    fn take(&mut self, table: &Original) -> Result<(), String> {
        let path = table.path();
        let locked = if table.exists() {
            path
        } else {
            install::parent(path)
        };
        if self.0.iter().any(|(known, _)| known == locked) {
            return Ok(());
        }
        let lock =
            install::lock(locked).map_err(|error| format!("{}: cannot lock it: {error}", path.display()))?;
        let lock = lock.ok_or_else(|| format!("{}: someone else is editing it", path.display()))?;
        self.0.push((locked.to_path_buf(), lock));
        Ok(())
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match edit(args) {
        Ok(code) => code,
        Err(message) => output::fail(&message),
    }
}

fn edit(args: &Args) -> Result<ExitCode, String> {
    let tables = args.rules.tables();
    for table in [TableKind::Allow, TableKind::Deny] {
        let directory = install::parent(tables.path(table));
        if !directory.is_dir() {
            return Err(format!("{}: no such directory", directory.display()));
        }
    }
    let directory = private_directory()?;
    let copies = Tables::in_directory(directory.path());
    let [allow, deny] = [TableKind::Allow, TableKind::Deny].map(|table| {
        let path = tables.path(table);
        Original::read(path).map_err(|error| output::at(path, &error))
    });
    let (allow, deny) = (allow?, deny?);
    let left_over = pair::left_over([&allow, &deny]);
    let is_left_over = left_over.iter().any(Option::is_some);
    let mut edited = Vec::new();
    let mut locks = Locks::default();
    for (table, original, left_over) in [
        (TableKind::Allow, allow, &left_over[0]),
        (TableKind::Deny, deny, &left_over[1]),
    ] {
        let (path, copy) = (tables.path(table), copies.path(table));
        let text = match left_over {
            Some(left_over) => {
                let shown = left_over.display();
                say(&format!(
                    "{shown} is what an edit that was cut short had still to put in place"
                ));
                std::fs::read(left_over).map_err(|error| output::at(left_over, &error))?
            }
            None => original.text.clone(),
        };
        std::fs::write(copy, text).map_err(|error| output::at(copy, &error))?;
        let is_asked_for = args.tables.iter().any(|t| t.kind() == table);
        if is_asked_for || is_left_over {
            locks.take(&original)?;
            edited.push(Edited {
                original,
                path: path.to_path_buf(),
                copy: copy.to_path_buf(),
            });
        } else if !original.exists() {
            let _ = std::fs::remove_file(copy);
        }
    }
    let editor = editor::Editor::new(directory.path())?;
    // What is left over has been agreed to before: it is looked at first, and edited again where that is wished.
    let mut is_reviewed_at_once = is_left_over;
    loop {
        if !std::mem::take(&mut is_reviewed_at_once) {
            let files: Vec<&Path> = edited.iter().map(|e| e.copy.as_path()).collect();
            editor.run(&files)?;
        }
        let changed = edited
            .iter()
            .map(|e| Ok(e.text()? != e.original.text))
            .collect::<Result<Vec<bool>, String>>()?;
        if !changed.contains(&true) {
            forget(&edited);
            say("nothing has changed");
            return Ok(ExitCode::SUCCESS);
        }
        let review = review::of(args, &tables, &copies, &edited)?;
        show(&review.text);
        match ask(review.is_sound) {
            Answer::Edit => {}
            Answer::Leave => {
                say("nothing was changed");
                return Ok(ExitCode::FAILURE);
            }
            Answer::Install => {
                let _deferred = editor.defer_signals();
                put_in_place(&edited, is_left_over)?;
                return Ok(ExitCode::SUCCESS);
            }
        }
    }
}

/// The rules may be nobody else's business while they are being written.
fn private_directory() -> Result<tempfile::TempDir, String> {
    tempfile::Builder::new()
        .prefix("tcpwrap-edit-")
        .tempdir()
        .map_err(|error| format!("cannot make a directory for the copy: {error}"))
}

/// Puts the copies in place. What an edit that is gone on with replaces has been kept before.
fn put_in_place(edited: &[Edited], is_gone_on_with: bool) -> Result<(), String> {
    let texts = edited.iter().map(Edited::text).collect::<Result<Vec<_>, _>>()?;
    // All are looked at before the first is touched.
    for table in edited {
        table
            .original
            .unchanged()
            .map_err(|error| output::at(&table.path, &error))?;
    }
    let changed: Vec<(&Edited, &Vec<u8>)> = edited
        .iter()
        .zip(&texts)
        .filter(|(table, text)| table.original.text != **text)
        .collect();
    let failed = |table: &Edited, error: io::Error| output::at(&table.path, &error);
    let mut previous = Vec::new();
    for (table, _) in &changed {
        previous.push(if is_gone_on_with {
            None
        } else {
            table
                .original
                .keep_previous()
                .map_err(|error| failed(table, error))?
        });
    }
    match changed[..] {
        [(allow, allow_text), (deny, deny_text)] => {
            let way = pair::replace(&allow.change(allow_text), &deny.change(deny_text))?;
            if way == Way::Closed {
                say("hosts.deny refused everybody for a moment, as either order would have let in others");
            }
        }
        _ => {
            for (table, text) in &changed {
                table
                    .original
                    .replace(text)
                    .map_err(|error| failed(table, error))?;
            }
        }
    }
    forget(edited);
    for ((table, _), previous) in changed.iter().zip(previous) {
        let kept = previous.map_or_else(String::new, |path| {
            format!("; the previous version is {}", path.display())
        });
        say(&format!("{} is in place{kept}", table.path.display()));
    }
    Ok(())
}

/// Takes away what an edit of both tables that was cut short has left over.
fn forget(edited: &[Edited]) {
    if let [allow, deny] = edited {
        pair::forget([&allow.original, &deny.original]);
    }
}

/// What to do after a look at the changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Edit,
    Leave,
    Install,
}

fn ask(is_sound: bool) -> Answer {
    let prompt = if is_sound {
        "Put this in place? [y]es, [e]dit again, e[x]it without changes: "
    } else {
        "What now? [e]dit again, e[x]it without changes, [Q] put it in place all the same: "
    };
    let mut out = anstream::stdout();
    loop {
        let _ = write!(out, "{prompt}");
        let _ = out.flush();
        let Some(answer) = read_line() else {
            let _ = writeln!(out);
            return Answer::Leave;
        };
        match (answer.trim(), is_sound) {
            ("e", _) => return Answer::Edit,
            ("x", _) => return Answer::Leave,
            ("y" | "yes", true) | ("Q", false) => return Answer::Install,
            ("n" | "no", true) => return Answer::Leave,
            ("Q", true) => return Answer::Install,
            ("y" | "yes", false) => {
                let _ = writeln!(
                    out,
                    "There are problems. Answer Q, a capital, to put it in place nevertheless."
                );
            }
            _ => {
                let _ = writeln!(out, "Answer with one of the letters in brackets.");
            }
        }
    }
}

/// One line from the terminal; nothing at its end.
fn read_line() -> Option<String> {
    let mut line = String::new();
    match io::stdin().read_line(&mut line) {
        Ok(0) | Err(_) => None,
        Ok(_) => Some(line),
    }
}

impl Table {
    fn kind(self) -> TableKind {
        match self {
            Table::Allow => TableKind::Allow,
            Table::Deny => TableKind::Deny,
        }
    }
}

fn say(text: &str) {
    show(&format!("{}\n", output::escape(text.as_bytes())));
}

fn show(text: &str) {
    let _ = output::write(text);
}
