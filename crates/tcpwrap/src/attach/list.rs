//! `tcpwrap attach --list`: which services have our drop-in, and whether it is in force.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use super::command::{commands, split_word, unquoted};
use super::objections::meant;
use crate::output::{self, BAD, GOOD, NOTE, escape};
use crate::unit::{DROP_IN, OURS, Settings, Unit};

/// A service with our drop-in.
#[derive(Debug, Serialize)]
struct Attached {
    unit: String,
    drop_in: String,
    /// The daemon names of its commands.
    daemons: Vec<String>,
    /// The options of `tcpwrap run` that name tables.
    tables: Vec<String>,
    state: State,
}

/// What became of the drop-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// A guard runs in the service.
    InForce,
    /// The service runs without a guard: it has not been restarted.
    NotRestarted,
    NotRunning,
    /// The unit starts something else by now.
    Outdated,
    /// There is no such unit, or it cannot be read.
    NoUnit,
    /// It is part of another system.
    Installed,
}

impl State {
    fn text(self) -> (anstyle::Style, &'static str) {
        match self {
            State::InForce => (GOOD, "in force"),
            State::NotRestarted => (BAD, "NOT in force: restart it"),
            State::NotRunning => (NOTE, "not running"),
            State::Outdated => (BAD, "the unit has changed: attach it again"),
            State::NoUnit => (NOTE, "there is no such unit"),
            State::Installed => (GOOD, "installed"),
        }
    }
}

/// Prints them.
pub fn print(root: &Path, is_json: bool) -> Result<(), ExitCode> {
    let attached = attached(root);
    if is_json {
        return output::json("attach", &serde_json::json!({ "attached": attached }));
    }
    if attached.is_empty() {
        return output::print("No service is attached.\n");
    }
    let mut text = String::new();
    let width = attached.iter().map(|one| one.unit.len()).max().unwrap_or(0);
    for one in &attached {
        let (style, state) = one.state.text();
        let mut what = one.daemons.join(", ");
        for table in &one.tables {
            let _ = write!(what, " {table}");
        }
        let what = escape(what.as_bytes());
        let _ = writeln!(text, "{:<width$}  {style}{state}{style:#}  (as {what})", one.unit);
    }
    output::print(&text)
}

fn attached(root: &Path) -> Vec<Attached> {
    let entries = fs::read_dir(root.join(OURS)).into_iter().flatten().flatten();
    let mut attached: Vec<Attached> = entries
        .filter_map(|entry| {
            let path = entry.path().join(DROP_IN);
            let name = entry.file_name().to_str()?.strip_suffix(".d")?.to_owned();
            let text = fs::read_to_string(&path).ok()?;
            let mut settings = Settings::default();
            settings.read(&text);
            let lines = settings.list("ExecStart");
            let guarded: Vec<&str> = lines.into_iter().flat_map(commands).collect();
            let mut one = Attached {
                unit: name,
                drop_in: path.display().to_string(),
                daemons: Vec::new(),
                tables: Vec::new(),
                state: State::Installed,
            };
            for command in &guarded {
                one.read(command);
            }
            one.tables.dedup();
            one.daemons.dedup();
            one.state = state(&one.unit, root, &guarded);
            Some(one)
        })
        .collect();
    attached.sort_by(|a, b| a.unit.cmp(&b.unit));
    attached
}

impl Attached {
    /// Takes the options from a guarded command.
    fn read(&mut self, command: &str) {
        let Some((options, guarded)) = parts(command) else {
            return;
        };
        let mut named = None;
        let mut words = options.iter();
        while let Some(word) = words.next() {
            match word.split_once('=') {
                Some(("--name", name)) => named = Some(name.to_owned()),
                _ if ["--rules", "--allow", "--deny"].contains(&word.as_str()) => {
                    let value = words.next().map_or("", String::as_str);
                    self.tables.push(format!("{word} {value}"));
                }
                _ => {}
            }
        }
        self.daemons.extend(named.or_else(|| meant(guarded).ok()));
    }
}

/// The options of `tcpwrap run`, and the command behind them.
fn parts(command: &str) -> Option<(Vec<String>, &str)> {
    let (_, mut rest) = split_word(command);
    let mut options = Vec::new();
    loop {
        let (word, after) = split_word(rest);
        rest = after;
        match word {
            "" => return None,
            "--" => return Some((options, rest)),
            word => options.push(unquoted(word)),
        }
    }
}

/// Does the unit still start what it started, and does a guard run?
fn state(name: &str, root: &Path, guarded: &[&str]) -> State {
    let Ok(settings) = Unit::new(name, root).and_then(|unit| unit.settings_but_ours()) else {
        return State::NoUnit;
    };
    let lines = settings.list("ExecStart");
    let now: Vec<&str> = lines.into_iter().flat_map(commands).collect();
    let is_same = |now: &&str, guarded: &&str| {
        let now_bare = now.trim_start_matches(|c| super::PREFIXES.contains(c));
        let (program, arguments) = split_word(now_bare);
        // With @, the first argument is another name, which is an option now.
        let has_name = now[..now.len() - now_bare.len()].contains('@');
        let arguments = if has_name {
            split_word(arguments).1
        } else {
            arguments
        };
        parts(guarded).is_some_and(|(_, rest)| split_word(rest) == (program, arguments))
    };
    if now.len() != guarded.len()
        || !now
            .iter()
            .zip(guarded)
            .all(|(now, guarded)| is_same(now, guarded))
    {
        return State::Outdated;
    }
    if root != Path::new("/") {
        return State::Installed;
    }
    match processes(name) {
        (_, true) => State::InForce,
        (true, false) => State::NotRestarted,
        (false, false) => State::NotRunning,
    }
}

/// Are there processes of the service, and a guard among them? Of a template, any instance's.
fn processes(unit: &str) -> (bool, bool) {
    let (mut has_any, mut has_guard) = (false, false);
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let read = |file: &str| fs::read_to_string(entry.path().join(file)).unwrap_or_default();
        let groups = read("cgroup");
        let is_of_unit = |name: &str| match unit.split_once("@.") {
            Some((template, rest)) => name
                .strip_prefix(template)
                .is_some_and(|name| name.starts_with('@') && name.ends_with(rest)),
            None => name == unit,
        };
        if groups.lines().any(|line| line.split('/').any(is_of_unit)) {
            has_any = true;
            has_guard |= read("comm").starts_with("tcpwrap-guard");
        }
    }
    (has_any, has_guard)
}
