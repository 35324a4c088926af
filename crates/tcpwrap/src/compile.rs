//! `tcpwrap compile`: an index beside each long table, for the programs that read the tables anew for each connection,
//! and copies of the databases that rules ask (`copies`).

mod copies;

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use hosts_access::{TableKind, index_file};
use rustix::fs::{Gid, Uid};
use serde::Serialize;

use crate::install::parent;
use crate::output;
use crate::rules::Rules;

/// Write an index beside long tables, and keep good databases
///
/// tcpd, and programs that make one decision and end, as OpenSSH's sshd does for each connection, then read a few
/// blocks instead of the whole table. An index belongs to one state of a table and is not used beside another, so
/// that it can be forgotten but never be wrong. `tcpwrap edit`, `fmt` and `check --fix` write it anew where there is
/// one; tcpwrap-compile.path does after other editors.
///
/// Databases of countries and autonomous systems that rules ask are copied, if all of them can be read. The copy is
/// asked while the database is missing or damaged.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  done\n  2  a table could not be read, a database is missing or damaged, or an index or a copy\n     could not be written"
)]
pub struct Args {
    #[command(flatten)]
    rules: Rules,
    /// Take the indexes and copies away
    #[arg(long)]
    remove: bool,
    /// Write only where there is an index or a copy already
    #[arg(long, conflicts_with = "remove")]
    refresh: bool,
    /// Print what was done as JSON
    #[arg(long)]
    json: bool,
}

/// What was done for one table.
#[derive(Debug, Serialize)]
struct Done {
    table: String,
    index: String,
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
}

/// What was done for a table or a database.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Each {
    Table(Done),
    Database(copies::Done),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum What {
    Written,
    /// As it was.
    Current,
    Removed,
    NotNeeded,
    None,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match compile_all(args) {
        Ok(done) if args.json => output::json("compile", &done).err().unwrap_or(ExitCode::SUCCESS),
        Ok(done) => {
            let text: String = done.iter().map(each_line).collect();
            output::print(&text).err().unwrap_or(ExitCode::SUCCESS)
        }
        Err(message) => output::fail(&message),
    }
}

fn compile_all(args: &Args) -> Result<Vec<Each>, String> {
    let tables = args.rules.existing_tables()?;
    let both: [&Path; 2] = [TableKind::Allow, TableKind::Deny].map(|kind| &**tables.path(kind));
    let mut done: Vec<_> = indexes(args, &both)?.into_iter().map(Each::Table).collect();
    // Whoever names tables means these, and not what the host's own ask.
    if !args.rules.are_named() {
        done.extend(copies::all(args, &both)?.into_iter().map(Each::Database));
    }
    Ok(done)
}

fn indexes(args: &Args, tables: &[&Path]) -> Result<Vec<Done>, String> {
    tables
        .iter()
        .map(|table| {
            let index = index_file::path_of(table);
            let done = if args.remove {
                remove(&index).map(|what| (what, None))
            } else if args.refresh && !index.exists() {
                Ok((What::None, None))
            } else {
                write(table)
            };
            let (what, image) = done.map_err(|error| output::at(&index, &error))?;
            Ok(Done {
                table: output::utf8(table.as_os_str().as_encoded_bytes()),
                index: output::utf8(index.as_os_str().as_encoded_bytes()),
                what,
                rules: image.as_ref().map(|image| image.rules),
                bytes: image.as_ref().map(|image| image.bytes.len()),
            })
        })
        .collect()
}

fn each_line(done: &Each) -> String {
    match done {
        Each::Table(done) => line(done),
        Each::Database(done) => copies::line(done),
    }
}

fn line(done: &Done) -> String {
    let index = output::escape(done.index.as_bytes());
    match done.what {
        What::Written => format!(
            "{index}: {} rules, {} kB\n",
            done.rules.unwrap_or(0),
            done.bytes.unwrap_or(0).div_ceil(1000)
        ),
        What::Current => format!("{index}: as before\n"),
        What::Removed => format!("{index}: removed\n"),
        What::NotNeeded => format!(
            "{}: needs no index: a table of less than {} kB is read as soon as one\n",
            output::escape(done.table.as_bytes()),
            index_file::SMALLEST >> 10
        ),
        What::None => format!("{index}: there is none\n"),
    }
}

/// Writes the index of a table where there is one already: the table has just been replaced.
pub fn refresh(table: &Path) {
    let index = index_file::path_of(table);
    if index.exists()
        && let Err(error) = write(table)
    {
        output::note(&format!(
            "tcpwrap: {}; the table is read without it until `tcpwrap compile`\n",
            output::at(&index, &error)
        ));
    }
}

fn write(table: &Path) -> io::Result<(What, Option<index_file::Image>)> {
    let index = index_file::path_of(table);
    let Some(image) = index_file::compile(table)? else {
        // What is there is that of another state.
        remove(&index)?;
        return Ok((What::NotNeeded, None));
    };
    let owner = fs::metadata(table)?;
    let mut new = tempfile::Builder::new()
        .prefix(".tcpwrap-")
        .tempfile_in(parent(&index))?;
    new.write_all(&image.bytes)?;
    let file = new.as_file();
    // Whoever may read the table may read its index; only the owner may write it, or it would not be believed.
    file.set_permissions(Permissions::from_mode(0o200 | owner.mode() & 0o444))?;
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (owner.uid(), owner.gid()) {
        rustix::fs::fchown(
            file,
            Some(Uid::from_raw(owner.uid())),
            Some(Gid::from_raw(owner.gid())),
        )?;
    }
    file.sync_all()?;
    new.persist(&index).map_err(|error| error.error)?;
    Ok((What::Written, Some(image)))
}

fn remove(index: &PathBuf) -> io::Result<What> {
    match fs::remove_file(index) {
        Ok(()) => Ok(What::Removed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(What::None),
        Err(error) => Err(error),
    }
}
