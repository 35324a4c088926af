//! `tcpwrap fmt`: one style for the tables, which changes the look of rules and nothing else.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analysis::compare::compare;
use analysis::document::{Document, Documents};
use analysis::format::{format, same_rules};
use hosts_access::TableKind;

use crate::install::Original;
use crate::output;
use crate::rules::Rules;
use crate::text_diff;

/// Put rule files into one style
///
/// Comments and meaning are kept, and lines that other programs look for are left alone.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  done\n  1  --check found a file in another style\n  \
    2  a file could not be read or written"
)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    /// Files to format, directories with hosts.allow and hosts.deny, or - for standard input to output
    #[arg(value_name = "FILE", conflicts_with_all = ["rules", "allow", "deny"])]
    files: Vec<PathBuf>,
    /// Change nothing; exit 1 if a file is in another style
    #[arg(long)]
    check: bool,
    /// Change nothing; show what would change
    #[arg(long)]
    diff: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match format_all(args) {
        Ok(true) if args.check => ExitCode::FAILURE,
        Ok(_) => ExitCode::SUCCESS,
        Err(message) => output::fail(&message),
    }
}

/// Formats what is asked for; true where something was in another style.
fn format_all(args: &Args) -> Result<bool, String> {
    let _busy = output::busy("formatting, and proving the meaning unchanged");
    if args.files.len() == 1 && args.files[0].as_os_str() == "-" {
        return standard_input(args);
    }
    let paths = paths(args)?;
    let mut changed = false;
    for path in &paths {
        changed |= format_file(args, path).map_err(|error| output::at(path, &error))?;
    }
    Ok(changed)
}

fn paths(args: &Args) -> Result<Vec<PathBuf>, String> {
    let both = |tables: &hosts_access::Tables| -> Vec<PathBuf> {
        [TableKind::Allow, TableKind::Deny]
            .iter()
            .map(|table| tables.path(*table).to_path_buf())
            .filter(|path| path.exists())
            .collect()
    };
    if args.files.is_empty() {
        return Ok(both(&args.rules.existing_tables()?));
    }
    let mut paths = Vec::new();
    for file in &args.files {
        if file.is_dir() {
            let found = both(&hosts_access::Tables::in_directory(file));
            if found.is_empty() {
                return Err(format!(
                    "{}: neither hosts.allow nor hosts.deny in it",
                    file.display()
                ));
            }
            paths.extend(found);
        } else {
            paths.push(file.clone());
        }
    }
    Ok(paths)
}

fn standard_input(args: &Args) -> Result<bool, String> {
    let mut text = Vec::new();
    std::io::stdin()
        .read_to_end(&mut text)
        .map_err(|error| format!("standard input: {error}"))?;
    let name = Path::new("<stdin>");
    let new = formatted(name, &text).map_err(|error| format!("standard input: {error}"))?;
    if args.diff {
        output::write(&text_diff::shown(name, &text, &new))?;
    } else if !args.check {
        use std::io::Write;
        let written = std::io::stdout().write_all(&new);
        if let Err(error) = written
            && error.kind() != std::io::ErrorKind::BrokenPipe
        {
            return Err(format!("standard output: {error}"));
        }
    }
    Ok(new != text)
}

fn format_file(args: &Args, path: &Path) -> std::io::Result<bool> {
    let original = Original::read(path)?;
    if !original.exists() {
        return Err(std::io::Error::other("no such file"));
    }
    let new = formatted(path, &original.text)?;
    if new == original.text {
        return Ok(false);
    }
    if args.diff {
        output::write(&text_diff::shown(path, &original.text, &new)).map_err(std::io::Error::other)?;
    } else if args.check {
        show(&format!("{}\n", path.display())).map_err(std::io::Error::other)?;
    } else {
        original.replace(&new)?;
    }
    Ok(true)
}

/// The text in the one style, once it is proved to decide every request as before: the rules are compared one
/// by one, and then what the two tables mean, taken for either of the policy's tables.
fn formatted(path: &Path, text: &[u8]) -> std::io::Result<Vec<u8>> {
    let old = Document::new(path, text);
    let new = Document::new(path, format(&old));
    if new.text == old.text || (same_rules(&old, &new) && same_meaning(&old, &new)) {
        Ok(new.text)
    } else {
        // Not known to happen; the file is worth more than its looks.
        Err(std::io::Error::other(
            "formatting would change what it means, so it is left alone; please report this",
        ))
    }
}

fn same_meaning(old: &Document, new: &Document) -> bool {
    let as_allow = |document| Documents {
        allow: Some(document),
        deny: None,
    };
    let as_deny = |document| Documents {
        allow: None,
        deny: Some(document),
    };
    [(as_allow(old), as_allow(new)), (as_deny(old), as_deny(new))]
        .into_iter()
        .all(|(old, new)| match compare(old, new) {
            Ok(found) => found.differences.is_empty(),
            // Where there are too many patterns to tell apart, that the rules are the same is proof enough.
            Err(_) => true,
        })
}

/// Shows text that holds what a file holds.
fn show(text: &str) -> Result<(), String> {
    output::write(&output::escape(text.as_bytes()))
}
