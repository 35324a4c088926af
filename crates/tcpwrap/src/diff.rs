//! `tcpwrap diff`: which requests get another verdict, or have other things run, under other tables.

pub mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analysis::compare::{self, Comparison};
use analysis::document::{Document, Documents};
use hosts_access::Tables;
use hosts_access::source::{self, Contents};

use crate::output;
use crate::rules::ends;

pub use self::text::render;

/// Compare what two pairs of tables mean
///
/// OLD and NEW are directories with hosts.allow and hosts.deny. With one directory, the tables in use on
/// this machine are compared with it. Options name single files in place of those of a directory.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  every request ends as before\n  1  some requests end differently\n  \
    2  the comparison could not be made, or not for every service"
)]
pub struct Args {
    /// The old tables, then the new; the new alone to compare with those in /etc
    #[arg(value_name = "DIR", num_args = 0..=2)]
    directories: Vec<PathBuf>,
    /// The old allow table
    #[arg(long, value_name = "FILE")]
    old_allow: Option<PathBuf>,
    /// The old deny table
    #[arg(long, value_name = "FILE")]
    old_deny: Option<PathBuf>,
    /// The new allow table
    #[arg(long, value_name = "FILE")]
    new_allow: Option<PathBuf>,
    /// The new deny table
    #[arg(long, value_name = "FILE")]
    new_deny: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match compared(args) {
        Ok(comparison) => {
            let printed = if args.json {
                output::json("diff", &text::json(&comparison))
            } else {
                output::print(&render(&comparison))
            };
            match printed {
                Err(failed) => failed,
                Ok(()) if !comparison.left_out.is_empty() => ExitCode::from(output::CANNOT),
                Ok(()) if comparison.differences.is_empty() => ExitCode::SUCCESS,
                Ok(()) => ExitCode::FAILURE,
            }
        }
        Err(problem) => output::fail(&problem),
    }
}

fn compared(args: &Args) -> Result<Comparison, String> {
    let _busy = output::busy("comparing");
    let (old, new) = match &args.directories[..] {
        [old, new, ..] => (Some(old), Some(new)),
        [new] => (None, Some(new)),
        [] => (None, None),
    };
    let is_named = |file: &Option<PathBuf>| file.is_some();
    if new.is_none() && !is_named(&args.new_allow) && !is_named(&args.new_deny) {
        return Err("name the new tables: a directory, --new-allow or --new-deny".into());
    }
    let old = tables(old, Tables::default(), &args.old_allow, &args.old_deny)?;
    // A single new file is an edit of the old pair.
    let new = tables(new, old.clone(), &args.new_allow, &args.new_deny)?;
    let old = [
        read(&old, hosts_access::TableKind::Allow)?,
        read(&old, hosts_access::TableKind::Deny)?,
    ];
    let new = [
        read(&new, hosts_access::TableKind::Allow)?,
        read(&new, hosts_access::TableKind::Deny)?,
    ];
    compare::compare(pair(&old), pair(&new)).map_err(|problem| problem.to_string())
}

fn pair(documents: &[Document; 2]) -> Documents<'_> {
    Documents {
        allow: Some(&documents[0]),
        deny: Some(&documents[1]),
    }
}

/// The tables of a directory, or the usual ones; files that are named take their places.
fn tables(
    directory: Option<&PathBuf>,
    usual: Tables,
    allow: &Option<PathBuf>,
    deny: &Option<PathBuf>,
) -> Result<Tables, String> {
    use hosts_access::TableKind::{Allow, Deny};
    let tables = match directory {
        None => usual,
        Some(directory) if directory.is_dir() => Tables::in_directory(directory),
        Some(directory) => return Err(format!("{}: no such directory", directory.display())),
    };
    let exists = |file: &Path| match file.try_exists() {
        Ok(false) => Err(format!("{}: no such file", file.display())),
        _ => Ok(()),
    };
    for file in [allow, deny].into_iter().flatten() {
        exists(file)?;
    }
    if directory.is_some()
        && [Allow, Deny]
            .iter()
            .all(|kind| exists(tables.path(*kind)).is_err())
    {
        let directory = directory.map(|d| d.display().to_string()).unwrap_or_default();
        return Err(format!("{directory}: neither hosts.allow nor hosts.deny in it"));
    }
    Ok(Tables::new(
        allow.clone().unwrap_or_else(|| tables.path(Allow).to_path_buf()),
        deny.clone().unwrap_or_else(|| tables.path(Deny).to_path_buf()),
    ))
}

fn read(tables: &Tables, kind: hosts_access::TableKind) -> Result<Document, String> {
    let path = tables.path(kind);
    ends(path)?;
    match source::read(path).0 {
        Contents::Missing => Ok(Document::new(path.to_path_buf(), Vec::new())),
        Contents::Unreadable(error) => Err(format!(
            "{}: {}",
            path.display(),
            hosts_access::decide::reason(&error)
        )),
        Contents::Text(text) => Ok(Document::new(path.to_path_buf(), text)),
    }
}
