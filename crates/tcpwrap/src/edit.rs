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
use crate::rules::Rules;

/// Edit rule files safely
///
/// Edits a copy with $VISUAL or $EDITOR, checks it, shows what changes and whether you would still be let in, and
/// puts it in place when you say so. The previous version is kept beside it, with a ~ behind its name.
#[derive(Debug, clap::Args)]
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
    _lock: install::Lock,
}

impl Edited {
    fn text(&self) -> Result<Vec<u8>, String> {
        std::fs::read(&self.copy).map_err(|error| format!("{}: {error}", self.copy.display()))
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
    let directory = private_directory()?;
    let copies = Tables::in_directory(directory.path());
    let mut edited = Vec::new();
    for table in [TableKind::Allow, TableKind::Deny] {
        let (path, copy) = (tables.path(table), copies.path(table));
        let original = Original::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        std::fs::write(copy, &original.text).map_err(|error| format!("{}: {error}", copy.display()))?;
        let is_asked_for = args.tables.iter().any(|t| t.kind() == table);
        if is_asked_for {
            let lock = install::lock(path)
                .map_err(|error| format!("{}: cannot lock it: {error}", path.display()))?;
            let lock = lock.ok_or_else(|| format!("{}: someone else is editing it", path.display()))?;
            edited.push(Edited {
                original,
                path: path.to_path_buf(),
                copy: copy.to_path_buf(),
                _lock: lock,
            });
        } else if !original.exists() {
            let _ = std::fs::remove_file(copy);
        }
    }
    let editor = editor::Editor::new(directory.path())?;
    loop {
        let files: Vec<&Path> = edited.iter().map(|e| e.copy.as_path()).collect();
        editor.run(&files)?;
        let changed = edited
            .iter()
            .map(|e| Ok(e.text()? != e.original.text))
            .collect::<Result<Vec<bool>, String>>()?;
        if !changed.contains(&true) {
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
                put_in_place(&edited)?;
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

fn put_in_place(edited: &[Edited]) -> Result<(), String> {
    let texts = edited.iter().map(Edited::text).collect::<Result<Vec<_>, _>>()?;
    // All are looked at before the first is touched.
    for table in edited {
        table
            .original
            .unchanged()
            .map_err(|error| format!("{}: {error}", table.path.display()))?;
    }
    for (table, text) in edited.iter().zip(&texts) {
        if *text == table.original.text {
            continue;
        }
        let failed = |error: io::Error| format!("{}: {error}", table.path.display());
        let previous = table.original.keep_previous().map_err(failed)?;
        table.original.replace(text).map_err(failed)?;
        let kept = previous.map_or_else(String::new, |path| {
            format!("; the previous version is {}", path.display())
        });
        say(&format!("{} is in place{kept}", table.path.display()));
    }
    Ok(())
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
    let _ = output::print(text);
}
