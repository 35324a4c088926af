//! `tcpwrap diff`: which requests get another verdict, or have other things run, under other tables.

mod geo;
pub mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use analysis::compare::{Comparison, compare_in};
use analysis::document::{Document, Documents};
use hosts_access::Tables;
use hosts_access::source::{self, Contents};

use crate::output;
use crate::rules::ends;
use geo::Databases;

/// Compare what two pairs of tables mean
///
/// OLD and NEW are directories with hosts.allow and hosts.deny, or two versions of one table; the other table is then
/// the one beside them. With one argument, the tables in use on this machine are compared with it. Options name single
/// files in place of those of a directory.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  every request ends as before\n  1  some requests end differently\n  \
    2  the comparison could not be made, or not for every service"
)]
pub struct Args {
    /// The old tables, then the new; the new alone to compare with those in /etc
    #[arg(value_name = "PATH", num_args = 0..=2)]
    paths: Vec<PathBuf>,
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
    /// Take where addresses are from this database (MMDB), so that countries, continents and autonomous systems are sets
    /// of addresses
    #[arg(long, value_name = "FILE")]
    geo: Vec<PathBuf>,
    /// Show everything, however long
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match geo::read(&args.geo).and_then(|databases| Ok((compared(args, &databases)?, databases))) {
        Ok((comparison, databases)) => {
            let printed = if args.json {
                let mut result = text::json(&comparison);
                result["databases"] = databases.json();
                output::json("diff", &result)
            } else {
                let most = if args.all { usize::MAX } else { text::FEW };
                output::print(&(text::render_most(&comparison, most) + &databases.text()))
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

fn compared(args: &Args, databases: &Databases) -> Result<Comparison, String> {
    let _busy = output::busy("comparing");
    for path in &args.paths {
        if let Ok(false) = path.try_exists() {
            return Err(format!("{}: no such file or directory", path.display()));
        }
    }
    if let [old, new] = &args.paths[..]
        && !old.is_dir()
        && !new.is_dir()
    {
        return versions(args, databases, old, new);
    }
    let mut files = [&args.old_allow, &args.old_deny, &args.new_allow, &args.new_deny].map(Clone::clone);
    let [_, _, new_allow, new_deny] = &mut files;
    let (old, new) = match &args.paths[..] {
        [old, new, ..] if old.is_dir() && new.is_dir() => (Some(old), Some(new)),
        [old, new, ..] => {
            return Err(format!(
                "{} and {}: one is a directory, and one is not",
                old.display(),
                new.display()
            ));
        }
        [new] if new.is_dir() => (None, Some(new)),
        [new] => {
            *if is_deny(new) { new_deny } else { new_allow } = Some(new.clone());
            (None, None)
        }
        [] => (None, None),
    };
    let [old_allow, old_deny, new_allow, new_deny] = &files;
    if new.is_none() && new_allow.is_none() && new_deny.is_none() {
        return Err("name the new tables: a directory, a file, --new-allow or --new-deny".into());
    }
    let old = tables(old, Tables::default(), old_allow, old_deny)?;
    // A single new file is an edit of the old pair.
    let new = tables(new, old.clone(), new_allow, new_deny)?;
    let old = [
        read(&old, hosts_access::TableKind::Allow)?,
        read(&old, hosts_access::TableKind::Deny)?,
    ];
    let new = [
        read(&new, hosts_access::TableKind::Allow)?,
        read(&new, hosts_access::TableKind::Deny)?,
    ];
    compare_in(pair(&old), pair(&new), &databases.places).map_err(|problem| problem.to_string())
}

/// Compares two versions of one table.
fn versions(args: &Args, databases: &Databases, old: &Path, new: &Path) -> Result<Comparison, String> {
    let is_deny_table = is_deny(old) || is_deny(new);
    let named = if is_deny_table {
        [&args.old_allow, &args.new_allow]
    } else {
        [&args.old_deny, &args.new_deny]
    };
    if [&args.old_allow, &args.old_deny, &args.new_allow, &args.new_deny]
        .iter()
        .filter(|file| file.is_some())
        .count()
        > named.iter().filter(|file| file.is_some()).count()
    {
        return Err("two files are two versions of one table: options can only name the other one".into());
    }
    let beside = [old, new].map(|file| partner(file, is_deny_table));
    let [of_old, of_new] = &beside;
    let other_old = named[0].as_ref().or(of_old.as_ref()).or(of_new.as_ref());
    let other_new = named[1].as_ref().or(other_old);
    let read_other = |path: Option<&PathBuf>| match path {
        Some(path) => read_file(path),
        None if is_deny_table => Ok(Document::new("hosts.allow", Vec::new())),
        None => Ok(Document::new("hosts.deny", &b"ALL: ALL\n"[..])),
    };
    if other_old.is_none() {
        let supposed = if is_deny_table {
            "an empty hosts.allow"
        } else {
            "a hosts.deny that refuses everybody"
        };
        output::note(&format!(
            "tcpwrap: compared beside {supposed}, as no other table stands there\n"
        ));
    }
    let documents = [(old, other_old), (new, other_new)].map(|(file, other)| {
        let (file, other) = (read_file(file)?, read_other(other)?);
        Ok::<_, String>(if is_deny_table {
            [other, file]
        } else {
            [file, other]
        })
    });
    let [old, new] = documents;
    compare_in(pair(&old?), pair(&new?), &databases.places).map_err(|problem| problem.to_string())
}

/// Is a file a deny table, by its name?
fn is_deny(file: &Path) -> bool {
    file.file_name()
        .is_some_and(|name| name.to_string_lossy().contains("deny"))
}

/// The other table beside one, where there is one.
fn partner(file: &Path, is_deny_table: bool) -> Option<PathBuf> {
    let name = if is_deny_table {
        "hosts.allow"
    } else {
        "hosts.deny"
    };
    Some(file.with_file_name(name)).filter(|path| path.is_file())
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
        Some(directory) => Tables::in_directory(directory),
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
    read_file(tables.path(kind))
}

fn read_file(path: &Path) -> Result<Document, String> {
    ends(path)?;
    match source::read(path).0 {
        Contents::Missing => Ok(Document::new(path.to_path_buf(), Vec::new())),
        Contents::Unreadable(error) => Err(output::at(path, &error)),
        Contents::Text(text) => Ok(Document::new(path.to_path_buf(), text)),
    }
}
