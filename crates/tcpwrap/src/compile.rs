//! `tcpwrap compile`: an index beside each long table, and each long list of hosts that its rules name, for the
//! programs that read the tables anew for each connection; and copies of the databases that rules ask (`copies`).

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
/// paths, where they are long; these are looked at every ten minutes.
///
/// Databases of countries and autonomous systems that rules ask are copied, if all of them can be read. The copy is
/// asked while the database is missing or damaged.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  done\n  2  a table could not be read, a database is missing or damaged, or an index or a copy\n     could not be written; all else is done"
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
    /// Why it failed, with the file's path.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
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
    Failed,
}

impl Each {
    /// Why it failed, if it did.
    fn failure(&self) -> Option<&str> {
        match self {
            Each::Table(done) => done.why.as_deref(),
            Each::Database(done) => done.why.as_deref(),
        }
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    let done = match compile_all(args) {
        Ok(done) => done,
        Err(message) => return output::fail(&message),
    };
    let written = if args.json {
        output::json("compile", &done)
    } else {
        let good = done.iter().filter(|each| each.failure().is_none());
        output::print(&good.map(each_line).collect::<String>())
    };
    let mut status = written.err().unwrap_or(ExitCode::SUCCESS);
    for why in done.iter().filter_map(Each::failure) {
        status = output::fail(why);
    }
    status
}

fn compile_all(args: &Args) -> Result<Vec<Each>, String> {
    let tables = args.rules.existing_tables()?;
    let both: [&Path; 2] = [TableKind::Allow, TableKind::Deny].map(|kind| &**tables.path(kind));
    let mut done: Vec<_> = indexes(args, &tables).into_iter().map(Each::Table).collect();
    // Whoever names tables means these, and not what the host's own ask.
    if !args.rules.are_named() {
        done.extend(copies::all(args, &both).into_iter().map(Each::Database));
    }
    Ok(done)
}

fn indexes(args: &Args, tables: &Tables) -> Vec<Done> {
    let both = [TableKind::Allow, TableKind::Deny].map(|kind| tables.path(kind).to_path_buf());
    let done = both
        .iter()
        .map(|table| index_of(args, table, index_file::compile, Of::Table));
    let mut done: Vec<_> = done.collect();
    let compiled = Policy::new(tables.clone()).current();
    let mut lists: Vec<&Path> = compiled
        .paths()
        .filter(|path| !both.iter().any(|table| table == path))
        .collect();
    lists.sort_unstable();
    let of_lists = lists
        .into_iter()
        .map(|list| index_of(args, list, index_file::compile_list, Of::List));
    done.extend(of_lists);
    done
}

/// How the index of a file is made.
type Compile = fn(&Path) -> io::Result<Option<index_file::Image>>;

fn index_of(args: &Args, path: &Path, compile: Compile, of: fn(String) -> Of) -> Done {
    let index = index_file::path_of(path);
    let done = if args.remove {
        let removed = remove(&index).map_err(|error| output::at(&index, &error));
        removed.map(|what| (what, None))
    } else if args.refresh && !index.exists() {
        Ok((What::None, None))
    } else {
        write(path, compile)
    };
    let ((what, image), why) = match done {
        Ok(done) => (done, None),
        Err(why) => ((What::Failed, None), Some(why)),
    };
    let of = of(output::utf8(path.as_os_str().as_encoded_bytes()));
    let count = image.as_ref().map(|image| image.rules);
    let (rules, patterns) = match of {
        Of::Table(_) => (count, None),
        Of::List(_) => (None, count),
    };
    Done {
        of,
        index: output::utf8(index.as_os_str().as_encoded_bytes()),
        what,
        rules,
        patterns,
        bytes: image.as_ref().map(|image| image.bytes.len()),
        why,
    }
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
        What::Failed => String::new(),
    }
}

/// Writes the index of a table where there is one already: the table has just been replaced.
pub fn refresh(table: &Path) {
    let index = index_file::path_of(table);
    if index.exists()
        && let Err(error) = write(table, index_file::compile)
    {
        output::note(&format!(
            "tcpwrap: {error}; the table is read without it until `tcpwrap compile`\n"
        ));
    }
}

/// Writes the index of a table or list. The error is a message.
fn write(table: &Path, compile: Compile) -> Result<(What, Option<index_file::Image>), String> {
    let index = index_file::path_of(table);
    let image = compile(table).map_err(|error| output::at(table, &error))?;
    let put_or_remove = || {
        if !is_ours(&index) {
            let other = || io::Error::other("there is another file of that name, which is left alone");
            return image.as_ref().map_or(Ok(What::NotNeeded), |_| Err(other()));
        }
        match &image {
            Some(image) => put(table, &index, image),
            // What is there is that of another state.
            None => remove(&index).map(|_| What::NotNeeded),
        }
    };
    let what = put_or_remove().map_err(|error| output::at(&index, &error))?;
    Ok((what, image.filter(|_| what != What::NotNeeded)))
}

fn put(table: &Path, index: &Path, image: &index_file::Image) -> io::Result<What> {
    let bytes = &image.bytes;
    let owner = fs::metadata(table)?;
    // The directory of a list may be somebody's who puts another file there meanwhile, of which he may know more.
    if source::FileId::of(&owner) != image.of {
        let problem = "what it is of was changed meanwhile; try again";
        return Err(io::Error::new(io::ErrorKind::ResourceBusy, problem));
    }
    // Whoever may read the table may read its index; only the owner may write it, or it would not be believed.
    let mode = 0o200 | owner.mode() & 0o444;
    let is_so = |own: &fs::Metadata| (own.uid(), own.gid()) == (owner.uid(), owner.gid());
    let is_current = || -> io::Result<bool> {
        let file = source::open(index)?;
        let own = file.metadata()?;
        let has_all = is_so(&own) && own.mode() & 0o7777 == mode && own.len() == bytes.len() as u64;
        let mut old = Vec::new();
        Ok(has_all
            && !index.is_symlink()
            && file.take(own.len()).read_to_end(&mut old).is_ok()
            && old == *bytes)
    };
    if is_current().unwrap_or(false) {
        return Ok(What::Current);
    }
    let mut new = tempfile::Builder::new()
        .prefix(".tcpwrap-")
        .tempfile_in(parent(index))?;
    new.write_all(bytes)?;
    let file = new.as_file();
    file.set_permissions(Permissions::from_mode(mode))?;
    if !is_so(&file.metadata()?) {
        rustix::fs::fchown(
            file,
            Some(Uid::from_raw(owner.uid())),
            Some(Gid::from_raw(owner.gid())),
        )?;
    }
    file.sync_all()?;
    new.persist(index).map_err(|error| error.error)?;
    Ok(What::Written)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A list is exchanged for one that everybody may read, when it has been read.
    fn exchanged(list: &Path) -> io::Result<Option<index_file::Image>> {
        let image = index_file::compile_list(list);
        let other = list.with_extension("other");
        fs::write(&other, fs::read(list)?)?;
        fs::set_permissions(&other, Permissions::from_mode(0o644))?;
        fs::rename(other, list)?;
        image
    }

    #[test]
    fn an_index_is_only_for_those_who_may_read_what_it_is_of() {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("list");
        fs::write(&list, "host.example\n".repeat(index_file::SMALLEST as usize / 8)).unwrap();
        fs::set_permissions(&list, Permissions::from_mode(0o600)).unwrap();
        let error = write(&list, exchanged).unwrap_err();
        assert!(error.contains("changed meanwhile"), "{error}");
        assert!(!index_file::path_of(&list).exists());
        let (what, _) = write(&list, index_file::compile_list).unwrap();
        assert_eq!(what, What::Written);
    }
}
