//! `tcpwrap scan`: which programs on disk would ask the tables, and how that is known.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::Style;
use obey::known::{self, Switch};
use obey::linkage::{How, Linker};
use obey::machine::program_directories;
use obey::{By, Machine};
use serde::Serialize;

use crate::output::{self, BAD, DIM, GOOD, NOTE, Text};
use crate::status::clean;

/// Find the programs that would ask hosts.allow and hosts.deny
///
/// Directories are searched with all that is in them. A program that asks through another library is found too, as is one
/// with libwrap built in. What a program's configuration says counts; nothing is run.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "EXIT STATUS:\n  0  at least one was found\n  1  none was found\n  2  something named could not be read"
)]
pub struct Args {
    /// Programs, and directories of programs [default: where servers are installed]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Show programs that have libwrap and never ask, too
    #[arg(long)]
    all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A program that has libwrap.
#[derive(Debug, Serialize)]
struct Program {
    file: Text,
    /// The names under which it asks.
    daemons: Vec<Text>,
    /// `yes`, `perhaps`, `switched-off` or `never`.
    asks: &'static str,
    /// `needed`, `missing`, `contained`, `names-tables` or `loads-later`: what tells.
    evidence: &'static str,
    /// Libraries or helpers on the way to libwrap.
    through: Vec<Text>,
    /// The libwrap that it gets.
    library: Option<Text>,
    /// The version, where it is this project's.
    version: Option<String>,
    /// The functions that are called.
    calls: Vec<&'static str>,
    /// Why it does not ask, or only perhaps.
    reason: Option<Text>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> ExitCode {
    match scan(args) {
        Ok(status) => status,
        Err(problem) => output::fail(&problem),
    }
}

fn scan(args: &Args) -> Result<ExitCode, String> {
    let busy = output::busy("looking at programs");
    let machine = Machine::of_this_host(None).map_err(|error| hosts_access::decide::reason(&error))?;
    let mut files = Files::default();
    if args.paths.is_empty() {
        program_directories().for_each(|directory| files.add(directory, 0));
    }
    for path in &args.paths {
        let facts = std::fs::metadata(path).map_err(|error| output::at(path, &error))?;
        if facts.is_dir() {
            std::fs::read_dir(path).map_err(|error| output::at(path, &error))?;
        } else if let Err(error) = hosts_access::source::open(path) {
            return Err(output::at(path, &error));
        }
        files.add(path, 0);
    }
    let mut found: Vec<Program> = files
        .found
        .iter()
        .filter_map(|file| program(&machine, file))
        .collect();
    found.retain(|program| args.all || program.asks != "never");
    drop(busy);
    let printed = match args.json {
        true => output::json(
            "scan",
            &serde_json::json!({ "programs": found, "files": files.found.len() }),
        ),
        false => output::print(&text(&found, files.found.len())),
    };
    Ok(match printed {
        Err(failed) => failed,
        Ok(()) => ExitCode::from(u8::from(found.is_empty())),
    })
}

/// The files to look at.
#[derive(Default)]
struct Files {
    found: Vec<PathBuf>,
    /// Directories, each of which is read once.
    seen: HashSet<(u64, u64)>,
}

impl Files {
    /// Links to directories inside others are not followed.
    fn add(&mut self, path: &Path, depth: usize) {
        const DEEPEST: usize = 64;
        let facts = match depth {
            0 => std::fs::metadata(path),
            _ => std::fs::symlink_metadata(path),
        };
        let Ok(facts) = facts else { return };
        if facts.is_symlink() {
            // A link to a program elsewhere is another name for it.
            return;
        }
        if facts.is_file() {
            // Each name of a file may be another program, as slapd's are.
            self.found.push(path.to_path_buf());
        } else if facts.is_dir() && depth < DEEPEST && self.seen.insert((facts.dev(), facts.ino())) {
            let mut entries: Vec<PathBuf> = std::fs::read_dir(path)
                .into_iter()
                .flatten()
                .flatten()
                .map(|e| e.path())
                .collect();
            entries.sort();
            entries.iter().for_each(|entry| self.add(entry, depth + 1));
        }
    }
}

fn program(machine: &Machine, file: &Path) -> Option<Program> {
    let linker: &Linker = machine.linker();
    let bytes = |path: &Path| Text(path.as_os_str().as_encoded_bytes().to_vec());
    let name = file.as_os_str().as_encoded_bytes();
    let (linkage, helper) = match machine.by(file) {
        Some(By::Helper(_, helper, linkage)) => (linkage, Some(helper)),
        Some(By::Libwrap(_, linkage)) => (linkage, None),
        // It has libwrap, and serves nobody or cannot start.
        _ => (linker.linkage(file, &[])?, None),
    };
    let own = known::never_asks(name);
    let uncalled = matches!(linkage.how, How::Needed | How::Contained)
        && linkage.calls.iter().all(|call| *call == "request_init");
    let is_library = linker
        .elf(file)
        .is_some_and(|elf| elf.loader.is_none() && !elf.needed.is_empty());
    let asks = known::asks(file, &[]);
    let on: Vec<_> = asks
        .iter()
        .filter(|asks| !matches!(asks.switch, Switch::Off(_)))
        .collect();
    let off = asks.iter().find_map(|asks| match &asks.switch {
        Switch::Off(why) => Some(why.clone()),
        _ => None,
    });
    let unknown = asks.iter().find_map(|asks| match &asks.switch {
        Switch::Unknown(why) => Some(why.clone()),
        _ => None,
    });
    let (word, reason) = match (own, &linkage.how) {
        (Some(why), _) => ("never", Some(why.to_owned())),
        (_, How::Missing) => (
            "never",
            Some("its libwrap.so.0 is not here, so it cannot start".to_owned()),
        ),
        _ if uncalled => ("never", Some("it calls nothing that decides".to_owned())),
        _ if is_library => (
            "perhaps",
            Some("a library or module: what loads it may ask".to_owned()),
        ),
        _ if on.is_empty() => ("switched-off", off),
        _ if unknown.is_some() => ("perhaps", unknown),
        _ => match machine.uncertainty(file) {
            Some(why) => ("perhaps", Some(why)),
            None => ("yes", None),
        },
    };
    let mut daemons: Vec<Vec<u8>> = match (word, is_library) {
        ("yes" | "perhaps", false) => on.iter().map(|asks| asks.name.clone()).collect(),
        _ => Vec::new(),
    };
    daemons.dedup();
    Some(Program {
        file: bytes(file),
        daemons: daemons.into_iter().map(Text).collect(),
        asks: word,
        evidence: match linkage.how {
            How::Needed => "needed",
            How::Missing => "missing",
            How::Contained => "contained",
            How::NamesTables => "names-tables",
            How::LoadsLater => "loads-later",
        },
        through: linkage
            .through
            .iter()
            .chain(&helper)
            .map(|path| bytes(path))
            .collect(),
        library: linkage.library.as_deref().map(bytes),
        version: linkage.version,
        calls: linkage.calls,
        reason: reason.map(|why| Text(why.into_bytes())),
    })
}

fn text(found: &[Program], files: usize) -> String {
    let mut out = String::new();
    for program in found {
        let (style, asks): (Style, _) = match program.asks {
            "yes" => (GOOD, "asks"),
            "perhaps" => (NOTE, "perhaps"),
            "switched-off" => (BAD, "switched off"),
            _ => (DIM, "never asks"),
        };
        let _ = write!(out, "{}: {style}{asks}{style:#}", clean(&program.file.0));
        let names: Vec<String> = program.daemons.iter().map(|name| clean(&name.0)).collect();
        if !names.is_empty() {
            let _ = write!(out, " as {}", names.join(", "));
        }
        if let Some(reason) = &program.reason {
            let _ = write!(out, ": {}", clean(&reason.0));
        }
        out.push('\n');
        let _ = writeln!(out, "  {DIM}{}{DIM:#}", evidence(program));
    }
    let count = found.iter().filter(|program| program.asks == "yes").count();
    let _ = writeln!(out, "{count} of {files} files ask the tables.");
    out
}

/// How it is known.
fn evidence(program: &Program) -> String {
    let whose = obey::words::whose(program.version.as_deref());
    let mut text = match (program.evidence, &program.library) {
        (_, Some(library)) => format!("needs {} ({whose})", clean(&library.0)),
        ("missing", _) => "needs a libwrap.so.0 that is not found".to_owned(),
        ("contained", _) => format!("contains libwrap ({whose})"),
        ("names-tables", _) => "names both tables".to_owned(),
        _ => "loads libraries later, and names libwrap".to_owned(),
    };
    if !program.through.is_empty() {
        let through: Vec<String> = program.through.iter().map(|path| clean(&path.0)).collect();
        let _ = write!(text, " through {}", through.join(", "));
    }
    if !program.calls.is_empty() {
        let _ = write!(text, "; calls {}", program.calls.join(", "));
    }
    text
}
