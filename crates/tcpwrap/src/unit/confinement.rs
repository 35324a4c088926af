//! What a unit lets its processes come at, as systemd.exec(5) has it, for a unit that does not run. Where its file does
//! not say, that is unknown, and never guessed.

use std::path::{Path, PathBuf};

use system::netdb;
use system::services::systemd::{command_words, is_yes};

use super::Settings;

/// As whom a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum User {
    /// Root.
    Root,
    /// This one, who is not root.
    Other(u32),
    /// One made for the service each time, who owns nothing yet.
    Dynamic,
    /// Not to be told, or one with capabilities.
    Unknown,
}

/// What is where a service looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mounted {
    /// What is there on this machine; nobody may write to it by this setting.
    Host(Option<String>),
    /// What is there in another root directory, by this setting.
    Root(PathBuf, String),
    /// Something that is closed and empty, by this setting: the place itself, or above it.
    Hidden(String),
    /// A file system that has nothing in it, by this setting; and whether it can be written to.
    Empty(String, bool),
    /// Not to be told.
    Unknown,
}

/// What a setting makes of a path and what is below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Writable,
    ReadOnly,
    Hidden,
    Empty {
        writable: bool,
    },
    /// Something else lies there.
    Covered,
}

#[derive(Debug)]
struct Mount {
    path: PathBuf,
    access: Access,
    /// The setting, for people.
    setting: String,
}

/// The restrictions of a service.
#[derive(Debug)]
pub struct Confinement {
    user: User,
    root: Option<PathBuf>,
    mounts: Vec<Mount>,
    /// Something about its file system is not to be told from the unit.
    is_unsure: bool,
    families: Vec<String>,
}

/// Settings that lay other things over directories in ways not looked into.
const OTHERS: [&str; 4] = [
    "RootImage",
    "MountImages",
    "ExtensionImages",
    "ExtensionDirectories",
];

/// Directories made for the service, and where.
const MADE: [(&str, &str); 4] = [
    ("RuntimeDirectory", "/run"),
    ("StateDirectory", "/var/lib"),
    ("CacheDirectory", "/var/cache"),
    ("LogsDirectory", "/var/log"),
];

impl Confinement {
    /// Reads the settings of a service whose command begins with these prefixes (`-`, `+`, `!`); nothing where a
    /// prefix lifts them all.
    pub fn new(settings: &Settings, prefixes: &str) -> Option<Self> {
        if prefixes.contains('+') {
            return None;
        }
        let is_dynamic = is_yes(settings.value("DynamicUser").as_bytes());
        let root = match settings.value("RootDirectory") {
            "" | "/" => None,
            path => Some(PathBuf::from(path.trim_start_matches('-'))),
        };
        let mut confinement = Confinement {
            user: user(settings, prefixes, is_dynamic),
            is_unsure: OTHERS.iter().any(|key| !settings.list(key).is_empty())
                || settings.value("RootDirectory").contains('%'),
            root,
            mounts: Vec::new(),
            families: settings
                .list("RestrictAddressFamilies")
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        confinement.read_mounts(settings, is_dynamic);
        Some(confinement)
    }

    fn read_mounts(&mut self, settings: &Settings, is_dynamic: bool) {
        let strict = match (settings.value("ProtectSystem"), is_dynamic) {
            ("strict", _) => Some("ProtectSystem=strict"),
            (_, true) => Some("DynamicUser=yes"),
            _ => None,
        };
        if let Some(setting) = strict {
            self.mounts.push(Mount {
                path: PathBuf::from("/"),
                access: Access::ReadOnly,
                setting: setting.to_owned(),
            });
        }
        for (key, access) in [
            ("ReadWritePaths", Access::Writable),
            ("ReadOnlyPaths", Access::ReadOnly),
            ("InaccessiblePaths", Access::Hidden),
            ("TemporaryFileSystem", Access::Empty { writable: true }),
            ("BindPaths", Access::Covered),
            ("BindReadOnlyPaths", Access::Covered),
        ] {
            for value in settings.list(key) {
                for word in command_words(value.as_bytes()) {
                    self.mount(key, &String::from_utf8_lossy(&word), access);
                }
            }
        }
        for (key, directory) in MADE {
            for name in settings
                .list(key)
                .iter()
                .flat_map(|value| value.split_whitespace())
            {
                let name = name.split(':').next().unwrap_or(name);
                self.mount(key, &format!("-{directory}/{name}"), Access::Covered);
            }
        }
    }

    fn mount(&mut self, key: &str, word: &str, access: Access) {
        let bare = word.trim_start_matches(['-', '+']);
        let is_lax = word.starts_with('-');
        let mut parts = bare.split(':');
        let first = parts.next().unwrap_or_default();
        let second = parts.next().unwrap_or_default();
        let (path, access) = match access {
            Access::Covered if !second.is_empty() => (second, access),
            Access::Empty { .. } => {
                let writable = !second.split(',').any(|option| option == "ro");
                (first, Access::Empty { writable })
            }
            _ => (first, access),
        };
        let is_made = matches!(access, Access::Covered | Access::Empty { .. });
        let is_there = Path::new(path).exists();
        if !path.starts_with('/') || word.contains('%') || !(is_made || is_lax || is_there) {
            // A specifier; or a unit that will not start.
            self.is_unsure = true;
        } else if is_made || is_there {
            self.mounts.push(Mount {
                path: real(Path::new(path)),
                access,
                setting: format!("{key}={path}"),
            });
        }
    }

    /// As whom it runs.
    pub fn user(&self) -> User {
        self.user
    }

    /// Its own root directory.
    pub fn root(&self) -> Option<&Path> {
        self.root.as_deref()
    }

    /// What is at a path for it.
    pub fn at(&self, path: &Path) -> Mounted {
        let path = real(path);
        if self.is_unsure {
            return Mounted::Unknown;
        }
        if let Some(root) = &self.root {
            // What is laid over a directory in there is not looked into.
            let is_plain = |mount: &Mount| matches!(mount.access, Access::Writable | Access::ReadOnly);
            return match self.mounts.iter().all(is_plain) {
                true => Mounted::Root(
                    root.join(path.strip_prefix("/").unwrap_or(&path)),
                    format!("RootDirectory={}", root.display()),
                ),
                false => Mounted::Unknown,
            };
        }
        let above: Vec<&Mount> = self
            .mounts
            .iter()
            .filter(|mount| path.starts_with(&mount.path))
            .collect();
        if let Some(hidden) = above.iter().find(|mount| mount.access == Access::Hidden) {
            return Mounted::Hidden(hidden.setting.clone());
        }
        let depth = |mount: &&&Mount| mount.path.components().count();
        let is_content = |mount: &&&Mount| matches!(mount.access, Access::Covered | Access::Empty { .. });
        let content = above.iter().filter(is_content).max_by_key(depth);
        let Some(deepest) = above.iter().max_by_key(depth) else {
            return Mounted::Host(None);
        };
        // Which of two for the same place counts is not in the manual.
        let is_other = |mount: &&&Mount| depth(mount) == depth(&deepest) && mount.access != deepest.access;
        if above.iter().any(|mount| is_other(&mount)) {
            return Mounted::Unknown;
        }
        match (content, deepest.access) {
            (None, Access::ReadOnly) => Mounted::Host(Some(deepest.setting.clone())),
            (None, _) => Mounted::Host(None),
            (Some(content), Access::Empty { writable }) if content.path == deepest.path => {
                Mounted::Empty(deepest.setting.clone(), writable)
            }
            _ => Mounted::Unknown,
        }
    }

    /// May it make sockets of this family?
    pub fn allows(&self, family: &str) -> bool {
        let mut allowed: Option<bool> = None;
        for value in &self.families {
            let (is_left_out, words) = match value.strip_prefix('~') {
                Some(words) => (true, words),
                None => (false, value.as_str()),
            };
            // The first of them says whether all others are left out or let through.
            let mut now = allowed.unwrap_or(is_left_out);
            for word in words.split_whitespace() {
                match word {
                    "none" => now = false,
                    word if word == family => now = !is_left_out,
                    _ => {}
                }
            }
            allowed = Some(now);
        }
        allowed.unwrap_or(true)
    }
}

fn user(settings: &Settings, prefixes: &str, is_dynamic: bool) -> User {
    let name = settings.value("User");
    if settings
        .list("AmbientCapabilities")
        .iter()
        .any(|value| value.contains("CAP_DAC_"))
    {
        return User::Unknown;
    }
    // One that is there already is used as it is.
    let known = || match name.parse() {
        Ok(id) => Some(id),
        Err(_) => netdb::user(name.as_bytes()).map(|user| user.uid),
    };
    match known() {
        _ if prefixes.contains('!') && !prefixes.contains("!!") => User::Root,
        _ if name.is_empty() && is_dynamic => User::Dynamic,
        _ if name.is_empty() => User::Root,
        Some(0) => User::Root,
        Some(id) => User::Other(id),
        None if is_dynamic && !name.contains('%') => User::Dynamic,
        None => User::Unknown,
    }
}

/// A path without the links in that part of it which is there.
fn real(path: &Path) -> PathBuf {
    let mut ancestors = path.ancestors();
    let found = ancestors.find_map(|part| Some((part, part.canonicalize().ok()?)));
    match found {
        Some((part, real)) => real.join(path.strip_prefix(part).unwrap_or(Path::new(""))),
        None => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confinement(lines: &str) -> Confinement {
        let mut settings = Settings::default();
        settings.read(&format!("[Service]\n{lines}\n"));
        Confinement::new(&settings, "-").unwrap()
    }

    #[test]
    fn families_as_systemd_has_them() {
        let allows = |lines: &str| confinement(lines).allows("AF_NETLINK");
        assert!(allows(""));
        assert!(!allows("RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6"));
        assert!(allows(
            "RestrictAddressFamilies=AF_UNIX\nRestrictAddressFamilies=AF_NETLINK"
        ));
        assert!(allows("RestrictAddressFamilies=~AF_PACKET"));
        assert!(!allows("RestrictAddressFamilies=~AF_PACKET AF_NETLINK"));
        assert!(!allows("RestrictAddressFamilies=none"));
        assert!(allows(
            "RestrictAddressFamilies=AF_UNIX\nRestrictAddressFamilies="
        ));
    }

    #[test]
    fn users_as_systemd_has_them() {
        let user = |lines: &str| confinement(lines).user();
        assert_eq!(user(""), User::Root);
        assert_eq!(user("User=root"), User::Root);
        assert_eq!(user("User=65534"), User::Other(65534));
        assert_eq!(user("DynamicUser=yes"), User::Dynamic);
        assert_eq!(user("DynamicUser=on\nUser=nobody-has-this-name"), User::Dynamic);
        assert_eq!(user("User=nobody-has-this-name"), User::Unknown);
        assert_eq!(user("User=%i\nDynamicUser=yes"), User::Unknown);
        assert_eq!(
            user("User=65534\nAmbientCapabilities=CAP_DAC_OVERRIDE"),
            User::Unknown
        );
        let mut settings = Settings::default();
        settings.read("[Service]\nUser=65534\n");
        assert!(Confinement::new(&settings, "+").is_none());
        assert_eq!(Confinement::new(&settings, "!").unwrap().user(), User::Root);
    }

    #[test]
    fn mounts_as_systemd_has_them() {
        let directory = tempfile::tempdir().unwrap();
        let top = directory.path().canonicalize().unwrap();
        std::fs::create_dir_all(top.join("a/b/c")).unwrap();
        let shown = top.display().to_string();
        let at = |lines: &str| confinement(&lines.replace('@', &shown)).at(&top.join("a/b/c/file"));
        let read_only = |setting: &str| Mounted::Host(Some(setting.replace('@', &shown)));
        assert_eq!(at(""), Mounted::Host(None));
        assert_eq!(at("ProtectSystem=full"), Mounted::Host(None));
        assert_eq!(at("ProtectSystem=strict"), read_only("ProtectSystem=strict"));
        assert_eq!(at("DynamicUser=yes"), read_only("DynamicUser=yes"));
        assert_eq!(
            at("ProtectSystem=strict\nReadWritePaths=-@/a"),
            Mounted::Host(None)
        );
        assert_eq!(
            at("ProtectSystem=strict\nReadWritePaths=-@/missing"),
            read_only("ProtectSystem=strict")
        );
        assert_eq!(
            at("ReadWritePaths=@/missing"),
            Mounted::Unknown,
            "it does not start"
        );
        assert_eq!(
            at("ReadWritePaths=@/a\nReadOnlyPaths=@/a/b"),
            read_only("ReadOnlyPaths=@/a/b")
        );
        assert_eq!(
            at("ReadOnlyPaths=@/a @/a/b\nReadWritePaths=@/a/b"),
            Mounted::Unknown
        );
        assert_eq!(at("ReadOnlyPaths=@/a\nReadOnlyPaths="), Mounted::Host(None));
        assert_eq!(
            at("InaccessiblePaths=@/a\nReadWritePaths=@/a/b"),
            Mounted::Hidden(format!("InaccessiblePaths={shown}/a"))
        );
        for (options, writable) in [("", true), (":ro", false), (":size=1M,ro", false)] {
            assert_eq!(
                at(&format!("TemporaryFileSystem=@/a{options}")),
                Mounted::Empty(format!("TemporaryFileSystem={shown}/a"), writable)
            );
        }
        for unknown in [
            "TemporaryFileSystem=@/a\nBindPaths=@/a/b",
            "BindReadOnlyPaths=/usr:@/a",
            "ReadOnlyPaths=%t",
            "RootImage=/x",
            "RootDirectory=/x\nTemporaryFileSystem=/y",
        ] {
            assert_eq!(at(unknown), Mounted::Unknown, "{unknown}");
        }
        assert!(matches!(at("RootDirectory=/x"), Mounted::Root(..)));
        let runtime = confinement("RuntimeDirectory=tcpwrap");
        assert_eq!(runtime.at(Path::new("/run/tcpwrap")), Mounted::Unknown);
    }
}
