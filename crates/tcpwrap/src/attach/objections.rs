//! What speaks against starting a service under guard: nobody may be fooled by a drop-in that guards nothing,
//! keeps the service from starting, or locks out whoever installs it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use analysis::document::Document;
use hosts_access::source::{self, Contents};
use hosts_access::{TableKind, Tables, Verdict};

use super::command::{split_word, unquoted};
use super::{Args, PREFIXES, absolute, commands, program_of};
use crate::rules;
use crate::run::meant::{self, Unknown};
use crate::session::{self, Session};
use crate::unit::{Settings, Unit};

/// Daemons that people log in through.
const LOGIN: [&str; 8] = [
    "sshd",
    "ssh",
    "dropbear",
    "telnetd",
    "in.telnetd",
    "in.rlogind",
    "in.rshd",
    "xrdp",
];

/// Where files do not last.
const TEMPORARY: [&str; 4] = ["/tmp", "/var/tmp", "/dev/shm", "/run"];

/// What is to be installed.
pub struct Plan<'a> {
    unit: &'a Unit,
    settings: &'a Settings,
    args: &'a Args,
    /// The commands of the unit.
    pub commands: Vec<&'a str>,
    /// The program that is put before them.
    pub tcpwrap: PathBuf,
    tables: Tables,
}

impl<'a> Plan<'a> {
    /// What `args` ask for.
    ///
    /// # Errors
    /// A message, where the unit starts nothing.
    pub fn new(unit: &'a Unit, settings: &'a Settings, args: &'a Args) -> Result<Self, String> {
        let lines = settings.list("ExecStart");
        if lines.is_empty() {
            return Err(format!("{} has no ExecStart", unit.name));
        }
        let commands: Vec<&str> = lines.into_iter().flat_map(commands).collect();
        for command in &commands {
            match meant(command) {
                Err(problem @ Unknown::Elsewhere(_)) => return Err(format!("{}: {problem}", unit.name)),
                Err(problem) if args.name.is_none() => return Err(format!("{}: {problem}", unit.name)),
                _ => {}
            }
        }
        let tcpwrap = match &args.tcpwrap {
            Some(named) => absolute(named)?,
            None => std::env::current_exe().map_err(|error| format!("where am I? {error}"))?,
        };
        let tables = args.tables.tables();
        let tables = Tables::new(
            absolute(tables.path(TableKind::Allow))?,
            absolute(tables.path(TableKind::Deny))?,
        );
        Ok(Plan {
            unit,
            settings,
            args,
            commands,
            tcpwrap,
            tables,
        })
    }

    /// What is only to be said.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let (name, settings) = (&self.unit.name, self.settings);
        if settings.value("Type") == "forking" && settings.value("PIDFile").is_empty() {
            notes.push(format!(
                "{name}: Type=forking without PIDFile= lets systemd guess the main process, which it cannot with the \
                 guard beside it: give it a PIDFile=, or have it stay in the foreground"
            ));
        }
        if !settings.value("RootImage").is_empty() || !settings.value("RootDirectory").is_empty() {
            notes.push(format!(
                "{name}: it has a root directory of its own, in which tcpwrap, hosts.allow and hosts.deny must be"
            ));
        }
        notes.extend(self.locked_out().filter(|_| !self.is_way_in()));
        notes
    }

    /// What speaks against it.
    pub fn objections(&self) -> Vec<String> {
        let mut objections = self.program();
        objections.extend(self.rules());
        objections.extend(self.locked_out().filter(|_| self.is_way_in()));
        objections
    }

    /// Where a path of the running service is now.
    fn below_root(&self, path: &Path) -> PathBuf {
        let mut root = self.args.root.clone();
        let own = self.settings.value("RootDirectory");
        root.push(own.trim_start_matches(['-', '+', '/']));
        root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Can tcpwrap be started by the service, now and next month?
    fn program(&self) -> Vec<String> {
        let mut objections = Vec::new();
        let shown = self.tcpwrap.display();
        let other = "install it, and name the installed one with --tcpwrap";
        let there = self.below_root(&self.tcpwrap);
        if self.settings.value("RootImage").is_empty() && !there.is_file() {
            return vec![format!("there is no {}: {other}", there.display())];
        }
        if there
            .ancestors()
            .any(|above| above.join("CACHEDIR.TAG").is_file())
        {
            objections.push(format!(
                "{shown} is in a build folder, and gone when that is cleaned: {other}"
            ));
        }
        if TEMPORARY.iter().any(|place| self.tcpwrap.starts_with(place)) {
            objections.push(format!("{shown} is in a folder for what does not last: {other}"));
        }
        let below: Vec<&Path> = there
            .ancestors()
            .take_while(|path| *path != self.args.root && path.parent().is_some())
            .collect();
        if let Some(loose) = below.iter().find(|path| may_change(path)) {
            objections.push(format!(
                "{} may be changed by others than root, who could then run anything in {}",
                loose.display(),
                self.unit.name
            ));
        }
        let user = self.settings.value("User");
        let has_user = is_yes(self.settings.value("DynamicUser")) || !matches!(user, "" | "root" | "0");
        if let Some(closed) = below.iter().find(|path| is_for_root(path)).filter(|_| has_user) {
            objections.push(format!(
                "{} is for root alone, and {} has another user: {other}",
                closed.display(),
                self.unit.name
            ));
        }
        if let Some(setting) = self.hides(&self.tcpwrap) {
            objections.push(format!("{setting} of {} hides {shown}: {other}", self.unit.name));
        }
        objections
    }

    /// Are there rules to be obeyed?
    fn rules(&self) -> Vec<String> {
        let paths = [TableKind::Allow, TableKind::Deny].map(|kind| self.tables.path(kind).to_path_buf());
        let is_named = [&self.args.tables.allow, &self.args.tables.deny].map(Option::is_some);
        let mut objections = Vec::new();
        let mut count = 0;
        for (path, is_named) in paths.iter().zip(is_named) {
            let there = self.below_root(path);
            match source::read(&there).0 {
                Contents::Missing if is_named => {
                    objections.push(format!("{}: there is no such file", there.display()));
                }
                Contents::Missing => {}
                Contents::Text(text) => {
                    count += rules::count(&Document::new(there, text));
                }
                // It closes the service rather than open it, and may be readable to the guard.
                Contents::Unreadable(error) => objections.push(crate::output::at(&there, &error)),
            }
            if let Some(setting) = self.hides(path) {
                objections.push(format!(
                    "{setting} of {} hides {}",
                    self.unit.name,
                    path.display()
                ));
            }
        }
        if let Some(directory) = &self.args.tables.rules
            && !self.below_root(&paths[0]).exists()
            && !self.below_root(&paths[1]).exists()
        {
            let what = if self.below_root(paths[0].parent().unwrap_or(directory)).is_dir() {
                "neither hosts.allow nor hosts.deny in it"
            } else {
                "there is no such directory of rules"
            };
            objections.push(format!("{}: {what}", directory.display()));
        } else if count == 0 && objections.is_empty() {
            let [allow, deny] = paths.map(|path| self.below_root(&path));
            objections.push(format!(
                "there is no rule in {} and {}, so everybody would be let in",
                allow.display(),
                deny.display()
            ));
        }
        objections
    }

    /// The setting by which systemd keeps a file from the service.
    fn hides(&self, path: &Path) -> Option<&'static str> {
        let settings = self.settings;
        let paths = |key: &str| -> Vec<PathBuf> {
            let values = settings.list(key);
            let words = values.iter().flat_map(|value| value.split_whitespace());
            let paths = words.map(|word| {
                word.trim_start_matches(['-', '+'])
                    .split(':')
                    .next()
                    .unwrap_or_default()
            });
            paths.map(|path| PathBuf::from(path.trim_matches('"'))).collect()
        };
        let is_below = |places: &[PathBuf]| places.iter().any(|place| path.starts_with(place));
        if ["BindPaths", "BindReadOnlyPaths"]
            .iter()
            .any(|key| is_below(&paths(key)))
        {
            return None;
        }
        let home = settings.value("ProtectHome");
        if (is_yes(home) || home == "tmpfs") && is_below(&["/home", "/root", "/run/user"].map(PathBuf::from))
        {
            return Some("ProtectHome=");
        }
        let is_private =
            is_yes(settings.value("PrivateTmp")) || settings.value("PrivateTmp") == "disconnected";
        if (is_private || is_yes(settings.value("DynamicUser")))
            && is_below(&["/tmp", "/var/tmp"].map(PathBuf::from))
        {
            return Some("PrivateTmp=");
        }
        ["InaccessiblePaths", "TemporaryFileSystem"]
            .into_iter()
            .zip(["InaccessiblePaths=", "TemporaryFileSystem="])
            .find(|(key, _)| is_below(&paths(key)))
            .map(|(_, shown)| shown)
    }

    /// Does this session, or any, come in through the service?
    fn is_way_in(&self) -> bool {
        self.commands
            .iter()
            .map(|command| program_of(command))
            .any(|program| {
                let name = program.file_name().and_then(|name| name.to_str());
                name.is_some_and(|name| LOGIN.contains(&name)) || session::comes_through(program)
            })
    }

    /// Would whoever asks be refused? Nothing is said of another system.
    fn locked_out(&self) -> impl Iterator<Item = String> + use<> {
        let session = match self.args.client {
            Some(client) => Some(Session { client, server: None }),
            None => session::present().filter(|_| self.args.root == Path::new("/")),
        };
        let below = [TableKind::Allow, TableKind::Deny].map(|kind| self.below_root(self.tables.path(kind)));
        let [allow, deny] = below;
        let tables = Tables::new(allow, deny);
        let refused = session.and_then(|session| {
            let name = self
                .names()
                .into_iter()
                .find(|name| session::decide(&session, name, &tables).verdict == Verdict::Denied)?;
            Some(format!("you, at {}, would be refused by {name}", session.client))
        });
        refused.into_iter()
    }

    /// The daemon names that the service will have.
    fn names(&self) -> Vec<String> {
        match &self.args.name {
            Some(name) => vec![name.clone()],
            None => self
                .commands
                .iter()
                .filter_map(|command| meant(command).ok())
                .collect(),
        }
    }
}

/// The name by which `run` will know what a command starts.
pub fn meant(command: &str) -> Result<String, Unknown> {
    let (mut words, mut rest) = (Vec::new(), command.trim_start_matches(|c| PREFIXES.contains(c)));
    while !rest.is_empty() {
        let (word, after) = split_word(rest);
        words.push(unquoted(word));
        rest = after;
    }
    meant::name(&words)
}

/// As systemd reads a boolean.
fn is_yes(value: &str) -> bool {
    ["1", "yes", "y", "true", "t", "on"]
        .iter()
        .any(|yes| value.eq_ignore_ascii_case(yes))
}

/// May others than root change it?
fn may_change(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| {
        let is_sticky = found.is_dir() && found.mode() & 0o1000 != 0;
        found.uid() != 0
            || (found.mode() & 0o002 != 0 && !is_sticky)
            || (found.mode() & 0o020 != 0 && found.gid() != 0 && !is_sticky)
    })
}

/// May root alone enter or execute it?
fn is_for_root(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|found| {
        let is_groups = found.mode() & 0o010 != 0 && found.gid() != 0;
        found.uid() == 0 && found.mode() & 0o001 == 0 && !is_groups
    })
}
