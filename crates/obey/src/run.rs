//! What `tcpwrap run` guards: the guards that run now, and the units that are set up for it.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use hosts_access::source;
use system::services::base_name;
use system::services::systemd::{self, Setting, UNIT_DIRECTORIES};

use crate::process::{self, Process};

/// The name the kernel shows for a guard.
const GUARD: &[u8] = b"tcpwrap-guard";

/// The link in its descriptors to what it tells of itself.
const LABEL: &[u8] = b"/memfd:tcpwrap-guard (deleted)";

/// A guard that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Its process.
    pub process: Process,
    /// Whom it guards, and by which rules; nothing where this user may not know.
    pub label: Option<Label>,
}

/// What a guard tells of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// The first process of the program.
    pub first: u32,
    /// The daemon's name in the rules.
    pub name: Vec<u8>,
    /// The program, as it was named.
    pub program: Vec<u8>,
    /// The allow table and the deny table.
    pub tables: [PathBuf; 2],
}

impl Guard {
    /// The guard that this process is, if it is one.
    pub fn of(process: &Process) -> Option<Self> {
        (process.name == GUARD).then(|| Guard {
            process: process.clone(),
            label: Label::of(process.id),
        })
    }

    /// May it guard this process? A process that is guarded is under a filter more than what started both, as the
    /// guard itself is.
    pub fn may_guard(&self, process: &Process) -> bool {
        process.is_filtered && process.filters >= self.process.filters
    }

    /// Does it guard this process? What tells whose it is, is that it descends from the first process of the program,
    /// or belongs to the same unit or session and is that program.
    pub fn guards(&self, process: &Process, program: &[u8]) -> bool {
        if !self.may_guard(process) {
            return false;
        }
        match &self.label {
            Some(label) => {
                process::lineage(process).any(|id| id == label.first)
                    || process.group == self.process.group && base_name(&label.program) == base_name(program)
            }
            None => process.group == self.process.group,
        }
    }
}

impl Label {
    fn of(guard: u32) -> Option<Self> {
        let entries = std::fs::read_dir(format!("/proc/{guard}/fd")).ok()?.flatten();
        let is_label =
            |path: &PathBuf| std::fs::read_link(path).is_ok_and(|to| to.as_os_str().as_bytes() == LABEL);
        let path = entries.map(|entry| entry.path()).find(is_label)?;
        Label::parse(&std::fs::read(path).ok()?)
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let mut parts = text.split(|byte| *byte == 0);
        let first = str::from_utf8(parts.next()?).ok()?.parse().ok()?;
        let (name, program) = (parts.next()?.to_vec(), parts.next()?.to_vec());
        let mut table = || Some(PathBuf::from(OsStr::from_bytes(parts.next()?)));
        Some(Label {
            first,
            name,
            program,
            tables: [table()?, table()?],
        })
    }
}

/// `tcpwrap run [OPTION …] -- PROGRAM …`, as it stands in a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The daemon's name in the rules.
    pub name: Vec<u8>,
    /// The program.
    pub program: Option<Vec<u8>>,
}

impl Command {
    /// Reads a command line.
    pub fn parse(words: &[&[u8]]) -> Option<Self> {
        const WITH_VALUE: [&[u8]; 8] = [
            b"--name",
            b"--rules",
            b"--allow",
            b"--deny",
            b"--log",
            b"--io-uring",
            b"--argv0",
            b"--if-guard-dies",
        ];
        let [command, b"run", rest @ ..] = words else {
            return None;
        };
        if base_name(command) != b"tcpwrap" {
            return None;
        }
        let (mut name, mut program) = (None, None);
        let mut words = rest.iter().copied();
        while let Some(word) = words.next() {
            if word == b"--" {
                program = words.next();
                break;
            }
            let (option, value) = match memchr::memchr(b'=', word) {
                Some(at) if word.starts_with(b"--") => (&word[..at], Some(&word[at + 1..])),
                _ if WITH_VALUE.contains(&word) => (word, words.next()),
                _ => (word, None),
            };
            match option {
                b"--name" => name = value,
                _ if option.starts_with(b"-") => {}
                _ => {
                    program = Some(word);
                    break;
                }
            }
        }
        let program = program?;
        Some(Command {
            name: name.unwrap_or_else(|| base_name(program)).to_vec(),
            program: Some(program.to_vec()),
        })
    }
}

/// A unit that starts its program with `tcpwrap run`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The unit.
    pub unit: String,
    /// What it starts.
    pub command: Command,
}

/// The units set up for `tcpwrap run`, in the directories of systemd.
pub fn attached() -> Vec<Attached> {
    attached_in(&UNIT_DIRECTORIES.map(Path::new))
}

fn attached_in(directories: &[&Path]) -> Vec<Attached> {
    let is_conf = |path: &PathBuf| path.extension() == Some(OsStr::new("conf"));
    let mut names = BTreeSet::new();
    for directory in directories {
        for path in entries(directory) {
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let unit = name.strip_suffix(".d").unwrap_or(&name);
            let mut files = match unit.len() == name.len() {
                true => vec![path],
                false => entries(&path).filter(is_conf).collect(),
            };
            files.retain(|file| unit.ends_with(".service") && names_us(file));
            if !files.is_empty() {
                names.insert(unit.to_owned());
            }
        }
    }
    // A file may be overridden by another one.
    let started = names.into_iter().filter_map(|unit| {
        let command = started(&systemd::settings(directories, unit.as_bytes()))?;
        Some(Attached { unit, command })
    });
    started.collect()
}

fn entries(directory: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// Does the file name our command? Most units need no more than this look.
fn names_us(file: &Path) -> bool {
    source::bytes(file).is_ok_and(|text| memchr::memmem::find(&text, b"tcpwrap").is_some())
}

/// The command of ours that a unit starts. An empty assignment forgets those before.
fn started(settings: &[Setting]) -> Option<Command> {
    let is_command = |setting: &&Setting| setting.key == b"ExecStart";
    let empty = settings
        .iter()
        .rposition(|setting| is_command(&setting) && setting.value.is_empty());
    let settings = &settings[empty.map_or(0, |at| at + 1)..];
    settings.iter().filter(is_command).find_map(|setting| {
        let words = systemd::command_words(&setting.value);
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let [first, rest @ ..] = &words[..] else {
            return None;
        };
        let bare = first.iter().position(|b| !b"@-:+!|".contains(b)).unwrap_or(0);
        Command::parse(&[&[&first[bare..]], rest].concat())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Option<(String, String)> {
        let words: Vec<&[u8]> = text.split(' ').map(str::as_bytes).collect();
        let command = Command::parse(&words)?;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Some((text(command.name), text(command.program.unwrap())))
    }

    #[test]
    fn names_under_run() {
        let is = |name: &str, program: &str| Some((name.to_owned(), program.to_owned()));
        assert_eq!(
            parse("/usr/bin/tcpwrap run -- /usr/sbin/nginx -g x"),
            is("nginx", "/usr/sbin/nginx")
        );
        assert_eq!(parse("tcpwrap run --name web -- nginx"), is("web", "nginx"));
        assert_eq!(
            parse("tcpwrap run --log json --name=web nginx --name no"),
            is("web", "nginx")
        );
        assert_eq!(parse("tcpwrap check -- nginx"), None);
        assert_eq!(parse("other run -- nginx"), None);
        assert_eq!(parse("tcpwrap run --name web"), None);
    }

    #[test]
    fn what_a_guard_tells() {
        let label = Label::parse(b"12\0a\0/b/c\0/x\0/y\0").unwrap();
        assert_eq!(
            (label.first, &label.name[..], &label.program[..]),
            (12, &b"a"[..], &b"/b/c"[..])
        );
        assert_eq!(label.tables, ["/x", "/y"].map(PathBuf::from));
        for text in [&b""[..], b"x\0", b"12\0a\0b\0"] {
            assert_eq!(Label::parse(text), None);
        }
    }

    #[test]
    fn a_unit_that_is_set_up() {
        let [above, below] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let put = |directory: &tempfile::TempDir, name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        let found = || -> Vec<(String, String)> {
            let found = attached_in(&[above.path(), below.path()]).into_iter();
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
            found.map(|one| (one.unit, text(one.command.name))).collect()
        };
        let ours = "[Service]\nExecStart=\nExecStart=-/usr/bin/tcpwrap run \"--name=a b\" -- /x\n";
        put(&below, "x.service", "[Service]\nExecStart=/x\n");
        put(&below, "x.service.d/tcpwrap.conf", ours);
        let is_it = [("x.service".to_owned(), "a b".to_owned())];
        assert_eq!(found(), is_it);
        put(&below, "y.service", "[Service]\nExecStart=/x tcpwrap run\n");
        put(&below, "x.service.d/note.txt", ours);
        assert_eq!(found(), is_it);
        // What overrides it: a drop-in behind, one of the same name above, a unit above, a mask.
        put(
            &below,
            "x.service.d/z.conf",
            "[Service]\nExecStart=\nExecStart=/x\n",
        );
        assert_eq!(found(), []);
        std::fs::remove_file(below.path().join("x.service.d/z.conf")).unwrap();
        put(&above, "x.service.d/tcpwrap.conf", "");
        assert_eq!(found(), []);
        std::fs::remove_dir_all(above.path().join("x.service.d")).unwrap();
        put(&below, "z.service", ours);
        assert_eq!(found().len(), 2);
        std::os::unix::fs::symlink("/dev/null", above.path().join("z.service")).unwrap();
        assert_eq!(found(), is_it);
    }
}
