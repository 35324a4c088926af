//! Daemons that units start and that do not run now, as far as their units tell who they are.

use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use obey::known::{self, Switch};
use obey::run::Command;
use obey::{Answer, Machine};
use system::services::systemd::command_words;
use system::services::{base_name, program};

use super::{Decider, Is};
use crate::unit::{self, Confinement, Settings, Unit};

/// What a command of a unit begins with, before the program.
const PREFIXES: &str = "-@:+!|";

/// The daemons of units of which no process is among these.
pub fn stopped(machine: &Machine, running: &[Decider]) -> Vec<Decider> {
    let root = Path::new("/");
    let is_running = |name: &str| {
        let mut units = running.iter().filter_map(Decider::unit);
        units.any(|unit| unit == name.as_bytes())
    };
    let mut found = Vec::new();
    for name in unit::installed(root).into_iter().filter(|name| !is_running(name)) {
        let Ok(unit) = Unit::new(&name, root).map_err(drop) else {
            continue;
        };
        // An alias is looked at under the unit's own name.
        if unit.name != name {
            continue;
        }
        let is_any = |settings: &Settings| started(settings).iter().any(|one| !one.asks(machine).is_empty());
        if !unit.own_settings().is_ok_and(|settings| is_any(&settings)) {
            continue;
        }
        let Ok(settings) = unit.settings() else { continue };
        for command in started(&settings) {
            for (daemon, port) in command.asks(machine) {
                let confinement = Confinement::new(&settings, &command.prefixes);
                found.extend(confinement.filter(has_these_tables).map(|confinement| Decider {
                    daemon,
                    port,
                    is: Is::Stopped {
                        unit: name.clone(),
                        confinement,
                    },
                }));
            }
        }
    }
    found
}

/// Where a service has another root directory: are the tables in there the same files?
fn has_these_tables(confinement: &Confinement) -> bool {
    let place = |path: &Path| {
        std::fs::metadata(path)
            .ok()
            .map(|facts| (facts.dev(), facts.ino()))
    };
    confinement.root().is_none_or(|root| {
        [hosts_access::ALLOW_TABLE, hosts_access::DENY_TABLE]
            .into_iter()
            .all(|table| place(&root.join(table.trim_start_matches('/'))) == place(Path::new(table)))
    })
}

/// A command that a unit starts.
struct Started {
    prefixes: String,
    program: PathBuf,
    /// From `argv[0]` on.
    arguments: Vec<Vec<u8>>,
}

fn started(settings: &Settings) -> Vec<Started> {
    let lines = settings.list("ExecStart").into_iter();
    lines.filter_map(Started::parse).collect()
}

impl Started {
    fn parse(line: &str) -> Option<Self> {
        let bare = line.trim_start_matches(|c| PREFIXES.contains(c));
        let prefixes = &line[..line.len() - bare.len()];
        let mut arguments = command_words(bare.as_bytes());
        let named = String::from_utf8(arguments.first()?.clone()).ok()?;
        let path = match named.starts_with('/') {
            true => PathBuf::from(named),
            false => program(named.as_bytes())?,
        };
        if prefixes.contains('@') {
            arguments.remove(0);
        }
        Some(Started {
            prefixes: prefixes.to_owned(),
            program: path,
            arguments,
        })
    }

    /// The names under which the tables are asked, where that is certain, and at which ports if that is known.
    fn asks(&self, machine: &Machine) -> Vec<(Vec<u8>, Option<u16>)> {
        const SET_ID: u32 = 0o6000;
        let file = self.program.as_os_str().as_encoded_bytes();
        let Ok(facts) = std::fs::metadata(&self.program) else {
            return Vec::new();
        };
        // It becomes somebody else.
        if facts.permissions().mode() & SET_ID != 0 {
            return Vec::new();
        }
        let words: Vec<&[u8]> = self.arguments.iter().map(Vec::as_slice).collect();
        match base_name(file) {
            b"tcpd" => {
                let named = self.arguments.first().map(|name| base_name(name).to_vec());
                return named
                    .filter(|name| name != b"tcpd")
                    .map(|name| (name, None))
                    .into_iter()
                    .collect();
            }
            b"tcpwrap" => {
                let command = words
                    .split_first()
                    .and_then(|(_, rest)| Command::parse(&[&[b"tcpwrap".as_slice()], rest].concat()));
                return command.map(|command| (command.name, None)).into_iter().collect();
            }
            // What they start has the user that its service has.
            b"inetd" | b"xinetd" => return Vec::new(),
            _ => {}
        }
        let all = known::asks(&self.program, &self.arguments).into_iter();
        let is_sure = |asks: &known::Asks| {
            let answer = machine.program(&asks.name, &self.program, &self.arguments);
            asks.switch == Switch::On && matches!(answer, Answer::Obeyed(_))
        };
        all.filter(is_sure).map(|asks| (asks.name, asks.port)).collect()
    }
}
