//! What a daemon can come at: one that runs, seen from its own root directory and mounts, as its own user; one that does
//! not, by what its unit says.

mod units;

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use obey::process::{Process, in_root};
use obey::{Listener, Obeys};
use rustix::fs::{StatVfsMountFlags, statvfs};
use state::limits;

use crate::unit::{Confinement, Mounted, Unit, User};

pub(super) use units::stopped;

/// A daemon that asks the tables.
pub(super) struct Decider {
    pub(super) daemon: Vec<u8>,
    /// Where it waits for clients, if that is known.
    pub(super) port: Option<u16>,
    is: Is,
}

enum Is {
    /// A process. It may decide as another user than its own, who is not known.
    Running { process: Process, is_other_user: bool },
    /// The command of a unit that does not run.
    Stopped { unit: String, confinement: Confinement },
}

/// Something a rule needs.
pub(super) enum Thing {
    /// A file that is read.
    Read(PathBuf),
    /// The ban list: where it is not there, nobody is banned.
    List(PathBuf),
    /// A directory in which root makes files.
    Write(PathBuf),
    /// The memory of limits.
    Limits,
    /// Sockets to the kernel.
    Netlink,
}

/// Why it cannot be come at.
pub(super) struct Why {
    pub(super) text: String,
    /// It is not there at all.
    pub(super) is_absent: bool,
}

impl Why {
    fn closed(text: String) -> Option<Self> {
        let is_absent = false;
        Some(Why { text, is_absent })
    }

    fn absent(text: String) -> Option<Self> {
        let is_absent = true;
        Some(Why { text, is_absent })
    }
}

impl Decider {
    /// Who decides for a listener, where that is a process that can be looked at.
    pub(super) fn of(listener: &Listener) -> Option<Self> {
        // It has tables of its own; or systemd waits in place of a unit.
        if listener.is_elsewhere || listener.process.as_ref().is_some_and(|process| process.id == 1) {
            return None;
        }
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
            port: Some(listener.socket.address.port()),
            is: Is::Running {
                process,
                is_other_user,
            },
        })
    }

    /// Who it is, for people.
    pub(super) fn who(&self) -> String {
        let process = match &self.is {
            Is::Stopped { unit, .. } => return format!("as {unit} starts it"),
            Is::Running { process, .. } => process,
        };
        let id = process.id;
        match (process.unit(), process.user) {
            (Some(unit), 0) => format!("process {id}, {}", String::from_utf8_lossy(unit)),
            (None, 0) => format!("process {id}"),
            (_, user) => format!("process {id}, user {user}"),
        }
    }

    /// Is it the same process or unit, for the same rules?
    pub(super) fn is_like(&self, other: &Decider) -> bool {
        let is_same = match (&self.is, &other.is) {
            (Is::Running { process, .. }, Is::Running { process: other, .. }) => process.id == other.id,
            (Is::Stopped { unit, .. }, Is::Stopped { unit: other, .. }) => unit == other,
            (Is::Running { .. }, Is::Stopped { .. }) | (Is::Stopped { .. }, Is::Running { .. }) => false,
        };
        is_same && self.daemon == other.daemon
    }

    /// The unit of a process.
    fn unit(&self) -> Option<&[u8]> {
        match &self.is {
            Is::Running { process, .. } => process.unit(),
            Is::Stopped { .. } => None,
        }
    }

    fn user(&self) -> User {
        match &self.is {
            Is::Running {
                is_other_user: true, ..
            } => User::Unknown,
            Is::Running { process, .. } if process.user == 0 => User::Root,
            Is::Running { process, .. } => User::Other(process.user),
            Is::Stopped { confinement, .. } => confinement.user(),
        }
    }

    /// Why it cannot come at something; nothing where it can, or that is not known.
    pub(super) fn cannot(&self, thing: &Thing) -> Option<Why> {
        match thing {
            Thing::Read(path) | Thing::List(path) => self.cannot_read(path),
            Thing::Write(path) => self.cannot_write(path),
            Thing::Limits => match self.user() {
                User::Root | User::Unknown => self.cannot_write(Path::new(limits::DIRECTORY)),
                User::Other(id) => {
                    let directory = limits::others();
                    self.cannot_write(&directory)
                        .or_else(|| self.is_taken(&directory.join(id.to_string()), id))
                }
                User::Dynamic => self.cannot_write(&limits::others()),
            },
            Thing::Netlink => self.cannot_ask_the_kernel(),
        }
    }

    fn cannot_read(&self, path: &Path) -> Option<Why> {
        let shown = path.display();
        let own = match &self.is {
            Is::Running { process, .. } => {
                let own = in_root(process.id, path);
                if is_missing(&own) {
                    return Why::absent(format!("{shown} is not there in its own root directory"));
                }
                own
            }
            Is::Stopped { confinement, .. } => match confinement.at(path) {
                Mounted::Host(_) => path.to_path_buf(),
                Mounted::Root(own, setting) => {
                    if is_missing(&own) {
                        return Why::absent(format!("{shown} is not there by {setting}"));
                    }
                    own
                }
                Mounted::Empty(setting, _) => {
                    return Why::absent(format!("{shown} is not there by {setting}"));
                }
                // Whoever may look into everything finds nothing in there.
                Mounted::Hidden(setting) => {
                    return match self.user() {
                        User::Root => Why::absent(format!("{shown} is hidden by {setting}")),
                        User::Other(_) | User::Dynamic => {
                            Why::closed(format!("{shown} is closed by {setting}"))
                        }
                        User::Unknown => None,
                    };
                }
                Mounted::Unknown => return None,
            },
        };
        std::fs::metadata(&own).ok()?;
        let parts = path.ancestors().zip(own.ancestors());
        let mut closed = parts.filter(|(_, own)| self.is_closed(own));
        let (closed, _) = closed.next()?;
        Why::closed(format!("{} is closed to its user", closed.display()))
    }

    /// The same of making files in a directory.
    fn cannot_write(&self, path: &Path) -> Option<Why> {
        let own = |path: &Path| match &self.is {
            Is::Running { process, .. } => in_root(process.id, path),
            Is::Stopped { .. } => path.to_path_buf(),
        };
        // The nearest that is there: what is missing is made by root alone.
        let existing = path.ancestors().find(|part| own(part).is_dir())?;
        match &self.is {
            Is::Running { .. } => {
                let flags = statvfs(own(existing)).ok()?.f_flag;
                if flags.contains(StatVfsMountFlags::RDONLY) {
                    return Why::closed(format!("{} is read-only for it", existing.display()));
                }
            }
            Is::Stopped { confinement, .. } => {
                let shown = path.display();
                match confinement.at(path) {
                    Mounted::Host(None) => {}
                    Mounted::Host(Some(setting)) | Mounted::Empty(setting, false) => {
                        return Why::closed(format!("{shown} is read-only by {setting}"));
                    }
                    Mounted::Empty(setting, true) => {
                        return match self.user() {
                            User::Other(_) | User::Dynamic => {
                                Why::closed(format!("{shown} is not there by {setting}"))
                            }
                            User::Root | User::Unknown => None,
                        };
                    }
                    Mounted::Hidden(setting) => {
                        return match self.user() {
                            User::Other(_) | User::Dynamic => {
                                Why::closed(format!("{shown} is closed by {setting}"))
                            }
                            User::Root | User::Unknown => None,
                        };
                    }
                    Mounted::Root(..) | Mounted::Unknown => return None,
                }
            }
        }
        let user = match self.user() {
            User::Other(id) => Some(id),
            User::Dynamic => None,
            User::Root | User::Unknown => return None,
        };
        if existing != path {
            return Why::closed(format!("{} is not there, and only root makes it", path.display()));
        }
        let metadata = std::fs::metadata(own(path)).ok()?;
        let may_write = metadata.mode() & 0o002 != 0
            || Some(metadata.uid()) == user
            || metadata.mode() & 0o020 != 0 && metadata.gid() != 0;
        match may_write {
            true => None,
            false => Why::closed(format!("{} is closed to its user", path.display())),
        }
    }

    /// Why a file cannot be this user's: somebody else was there first.
    fn is_taken(&self, path: &Path, user: u32) -> Option<Why> {
        let own = match &self.is {
            Is::Running { process, .. } => in_root(process.id, path),
            Is::Stopped { confinement, .. } => match confinement.at(path) {
                Mounted::Host(_) => path.to_path_buf(),
                _ => return None,
            },
        };
        let metadata = std::fs::symlink_metadata(own).ok()?;
        let is_its = metadata.is_file() && metadata.uid() == user;
        match is_its {
            true => None,
            false => Why::closed(format!(
                "{} is user {}'s, who was there first: remove it",
                path.display(),
                metadata.uid()
            )),
        }
    }

    fn cannot_ask_the_kernel(&self) -> Option<Why> {
        let (unit, allows) = match &self.is {
            Is::Running { process, .. } => {
                let unit = String::from_utf8_lossy(process.unit()?).into_owned();
                let settings = Unit::new(&unit, Path::new("/")).ok()?.settings().ok()?;
                let allows = Confinement::new(&settings, "").is_none_or(|unit| unit.allows(NETLINK));
                (unit, allows)
            }
            Is::Stopped { unit, confinement } => (unit.clone(), confinement.allows(NETLINK)),
        };
        match allows {
            true => None,
            false => Why::closed(format!("RestrictAddressFamilies of {unit} leaves {NETLINK} out")),
        }
    }

    /// Is a file closed to the daemon's user? What its groups may do is not known.
    fn is_closed(&self, own: &Path) -> bool {
        let user = match self.user() {
            User::Root | User::Unknown => return false,
            User::Other(id) => Some(id),
            User::Dynamic => None,
        };
        let Ok(metadata) = std::fs::metadata(own) else {
            return false;
        };
        let needed = if metadata.is_dir() { 0o1 } else { 0o4 };
        let is_own = Some(metadata.uid()) == user && metadata.mode() & needed << 6 != 0;
        let may_be_group = metadata.gid() != 0 && metadata.mode() & needed << 3 != 0;
        !is_own && !may_be_group && metadata.mode() & needed == 0
    }
}

const NETLINK: &str = "AF_NETLINK";

fn is_missing(path: &Path) -> bool {
    std::fs::metadata(path).is_err_and(|error| error.kind() == ErrorKind::NotFound)
}
