//! What a running daemon can come at: seen from its own root directory and mounts, as its own user.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use obey::process::{Process, in_root};
use obey::{Listener, Obeys};
use rustix::fs::{StatVfsMountFlags, statvfs};

use crate::unit::Unit;

/// A process that asks the tables for what waits for clients.
pub(super) struct Decider {
    pub(super) daemon: Vec<u8>,
    pub(super) port: u16,
    process: Process,
    /// It decides as another user than its own, which is not known.
    is_other_user: bool,
}

/// Something a rule needs.
pub(super) enum Thing {
    /// A file that is read.
    Read(PathBuf),
    /// The ban list: where it is not there, nobody is banned.
    List(PathBuf),
    /// A directory in which files are made.
    Write(PathBuf),
    /// Sockets to the kernel.
    Netlink,
}

/// Why it cannot be come at.
pub(super) struct Why {
    pub(super) text: String,
    /// It is not there at all.
    pub(super) is_absent: bool,
}

impl Decider {
    /// Who decides for a listener, where that is a process that can be looked at.
    pub(super) fn of(listener: &Listener) -> Option<Self> {
        let (process, is_other_user) = match &listener.obeys {
            Obeys::Libwrap(_) | Obeys::SuperServer(..) => (listener.process.clone()?, false),
            // It is started as the user that the service has.
            Obeys::Tcpd(..) => (listener.process.clone()?, true),
            Obeys::Run(id) => (Process::read(*id).ok()?, false),
            Obeys::GuardGone | Obeys::Perhaps(_) | Obeys::Off(_) | Obeys::Nothing | Obeys::Hidden => {
                return None;
            }
        };
        Some(Decider {
            daemon: listener.daemon.clone(),
            port: listener.socket.address.port(),
            process,
            is_other_user,
        })
    }

    /// The process, for people.
    pub(super) fn who(&self) -> String {
        let id = self.process.id;
        match (self.process.unit(), self.is_root()) {
            (Some(unit), _) if self.process.user == 0 => {
                format!("process {id}, {}", String::from_utf8_lossy(unit))
            }
            (_, true) => format!("process {id}"),
            (_, false) => format!("process {id}, user {}", self.process.user),
        }
    }

    /// Is it the same process, for the same rules?
    pub(super) fn is_like(&self, other: &Decider) -> bool {
        self.process.id == other.process.id && self.daemon == other.daemon
    }

    fn is_root(&self) -> bool {
        self.process.user == 0 || self.is_other_user
    }

    /// Why it cannot come at something; nothing where it can, or that is not known.
    pub(super) fn cannot(&self, thing: &Thing) -> Option<Why> {
        let there = |text: String| {
            Some(Why {
                text,
                is_absent: false,
            })
        };
        match thing {
            Thing::Read(path) | Thing::List(path) => {
                let own = in_root(self.process.id, path);
                match std::fs::metadata(&own) {
                    Ok(_) => {
                        let closed = path.ancestors().find(|part| self.is_closed(part))?;
                        there(format!("{} is closed to its user", closed.display()))
                    }
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Why {
                        text: format!("{} is not there in its own root directory", path.display()),
                        is_absent: true,
                    }),
                    Err(_) => None,
                }
            }
            Thing::Write(path) => {
                let own = |path: &Path| in_root(self.process.id, path);
                // The nearest that is there: what is missing is made by root alone.
                let existing = path.ancestors().find(|part| own(part).is_dir())?;
                let flags = statvfs(own(existing)).ok()?.f_flag;
                if flags.contains(StatVfsMountFlags::RDONLY) {
                    return there(format!("{} is read-only for it", existing.display()));
                }
                if self.is_root() {
                    return None;
                }
                if existing != path {
                    return there(format!("{} is not there, and only root makes it", path.display()));
                }
                let metadata = std::fs::metadata(own(path)).ok()?;
                let may_write = metadata.mode() & 0o002 != 0
                    || metadata.uid() == self.process.user
                    || metadata.mode() & 0o020 != 0;
                match may_write {
                    true => None,
                    false => there(format!("{} is closed to its user", path.display())),
                }
            }
            Thing::Netlink => {
                let unit = String::from_utf8_lossy(self.process.unit()?).into_owned();
                let settings = Unit::new(&unit, Path::new("/")).ok()?.settings().ok()?;
                let words = settings.list("RestrictAddressFamilies");
                match allows(&words, "AF_NETLINK") {
                    true => None,
                    false => there(format!("RestrictAddressFamilies of {unit} leaves AF_NETLINK out")),
                }
            }
        }
    }

    /// Is a file closed to the daemon's user? What its groups may do is not known.
    fn is_closed(&self, path: &Path) -> bool {
        let Ok(metadata) = std::fs::metadata(in_root(self.process.id, path)) else {
            return false;
        };
        let needed = if metadata.is_dir() { 0o1 } else { 0o4 };
        let is_own = metadata.uid() == self.process.user && metadata.mode() & needed << 6 != 0;
        let may_be_group = metadata.gid() != 0 && metadata.mode() & needed << 3 != 0;
        !self.is_root() && !is_own && !may_be_group && metadata.mode() & needed == 0
    }
}

/// Does a list as systemd.exec(5) has it, with `~` before what is left out, allow this family?
fn allows(values: &[&str], family: &str) -> bool {
    let mut allowed: Option<bool> = None;
    for value in values {
        let (is_left_out, words) = match value.strip_prefix('~') {
            Some(words) => (true, words),
            None => (false, *value),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_as_systemd_has_them() {
        let allows = |values: &[&str]| allows(values, "AF_NETLINK");
        assert!(allows(&[]));
        assert!(!allows(&["AF_UNIX AF_INET AF_INET6"]));
        assert!(allows(&["AF_UNIX AF_INET", "AF_NETLINK"]));
        assert!(allows(&["~AF_PACKET"]));
        assert!(!allows(&["~AF_PACKET AF_NETLINK"]));
        assert!(!allows(&["none"]));
    }
}
