//! `tcpwrap compile`: an index beside each long table, and each long list of hosts that its rules name, for the programs that read the tables anew for each connection,
//! and copies of the databases that rules ask (`copies`).

mod copies;

use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::ExitCode;

use hosts_access::{Policy, TableKind, Tables, index_file, source};
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
/// one; tcpwrap-compile.path does after other editors. So it is with the files of hosts that rules name by their
/// paths, where they are long.
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

/// What was done for one table, or one list.
#[derive(Debug, Serialize)]
struct Done {
    #[serde(flatten)]
    of: Of,
    index: String,
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    rules: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    patterns: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
}

/// What an index is of.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Of {
    Table(String),
    List(String),
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
    let mut done: Vec<_> = indexes(args, &tables)?.into_iter().map(Each::Table).collect();
    // Whoever names tables means these, and not what the host's own ask.
    if !args.rules.are_named() {
        done.extend(copies::all(args, &both)?.into_iter().map(Each::Database));
    }
    Ok(done)
}

fn indexes(args: &Args, tables: &Tables) -> Result<Vec<Done>, String> {
    let both = [TableKind::Allow, TableKind::Deny].map(|kind| tables.path(kind).to_path_buf());
    let done = both
        .iter()
        .map(|table| index_of(args, table, index_file::compile, Of::Table));
    let mut done = done.collect::<Result<Vec<_>, _>>()?;
    let compiled = Policy::new(tables.clone()).current();
    let mut lists: Vec<&Path> = compiled
        .paths()
        .filter(|path| !both.iter().any(|table| table == path))
        .collect();
    lists.sort_unstable();
    for list in lists {
        done.push(index_of(args, list, index_file::compile_list, Of::List)?);
    }
    Ok(done)
}

/// How the index of a file is made.
type Compile = fn(&Path) -> io::Result<Option<index_file::Image>>;

fn index_of(args: &Args, path: &Path, compile: Compile, of: fn(String) -> Of) -> Result<Done, String> {
    let index = index_file::path_of(path);
    let done = if args.remove {
        remove(&index).map(|what| (what, None))
    } else if args.refresh && !index.exists() {
        Ok((What::None, None))
    } else {
        write(path, compile)
    };
    let (what, image) = done.map_err(|error| output::at(&index, &error))?;
    let of = of(output::utf8(path.as_os_str().as_encoded_bytes()));
    let count = image.as_ref().map(|image| image.rules);
    let (rules, patterns) = match of {
        Of::Table(_) => (count, None),
        Of::List(_) => (None, count),
    };
    Ok(Done {
        of,
        index: output::utf8(index.as_os_str().as_encoded_bytes()),
        what,
        rules,
        patterns,
        bytes: image.as_ref().map(|image| image.bytes.len()),
    })
}

fn each_line(done: &Each) -> String {
    match done {
        Each::Table(done) => line(done),
        Each::Database(done) => copies::line(done),
    }
}

fn line(done: &Done) -> String {
    let index = output::escape(done.index.as_bytes());
    let (Of::Table(path) | Of::List(path)) = &done.of;
    let (kind, what) = match done.of {
        Of::Table(_) => ("table", "rules"),
        Of::List(_) => ("list", "patterns"),
    };
    match done.what {
        What::Written => format!(
            "{index}: {} {what}, {} kB\n",
            done.rules.or(done.patterns).unwrap_or(0),
            done.bytes.unwrap_or(0).div_ceil(1000)
        ),
        What::Current => format!("{index}: as before\n"),
        What::Removed => format!("{index}: removed\n"),
        What::NotNeeded => format!(
            "{}: needs no index: a {kind} of less than {} kB is read as soon as one\n",
            output::escape(path.as_bytes()),
            index_file::SMALLEST >> 10
        ),
        What::None => format!("{index}: there is none\n"),
    }
}

/// Writes the index of a table where there is one already: the table has just been replaced.
pub fn refresh(table: &Path) {
    let index = index_file::path_of(table);
    if index.exists()
        && let Err(error) = write(table, index_file::compile)
    {
        output::note(&format!(
            "tcpwrap: {}; the table is read without it until `tcpwrap compile`\n",
            output::at(&index, &error)
        ));
    }
}

fn write(table: &Path, compile: Compile) -> io::Result<(What, Option<index_file::Image>)> {
    let index = index_file::path_of(table);
    let image = compile(table)?;
    if !is_ours(&index) {
        let other = || io::Error::other("there is another file of that name, which is left alone");
        return image.map_or(Ok((What::NotNeeded, None)), |_| Err(other()));
    }
    let Some(image) = image else {
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

/// Is what stands there an index, or nothing? Ban lists have files of the same name, and so may others.
fn is_ours(index: &Path) -> bool {
    let mut start = Vec::new();
    // The directory of a list may be somebody's who puts there what waits for ever when it is opened.
    let read = source::open(index).and_then(|file| file.take(8).read_to_end(&mut start));
    match read {
        Ok(_) => index_file::is_index(&start),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn remove(index: &Path) -> io::Result<What> {
    if index.exists() && !is_ours(index) {
        return Ok(What::None);
    }
    match fs::remove_file(index) {
        Ok(()) => Ok(What::Removed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(What::None),
        Err(error) => Err(error),
    }
}
