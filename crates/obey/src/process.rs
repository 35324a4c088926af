//! Processes, from `/proc`: which sockets they hold, which program they are, what they have loaded, and the unit they
//! belong to.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A process, as far as this user may see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub id: u32,
    /// Its parent's.
    pub parent: u32,
    /// The name the kernel shows for it.
    pub name: Vec<u8>,
    /// `argv`
    pub arguments: Vec<Vec<u8>>,
    /// Its program; nothing where this user may not see it.
    pub program: Option<PathBuf>,
    /// The program's file has been removed, or another was put in its place.
    pub is_replaced: bool,
    /// Its effective user.
    pub user: u32,
    /// It is under a seccomp filter.
    pub is_filtered: bool,
    /// Under how many; nothing where the kernel does not say.
    pub filters: Option<u32>,
    /// It is stopped, and does nothing.
    pub is_stopped: bool,
    /// Its control group.
    pub group: Vec<u8>,
}

impl Process {
    /// Reads what there is to be read.
    ///
    /// # Errors
    /// Where it has ended.
    pub fn read(id: u32) -> io::Result<Self> {
        let at = |name: &str| PathBuf::from(format!("/proc/{id}/{name}"));
        let status = fs::read(at("status"))?;
        let field = |name: &[u8]| {
            let lines = status.split(|byte| *byte == b'\n');
            lines
                .filter_map(|line| line.strip_prefix(name))
                .map(<[u8]>::trim_ascii)
                .next()
                .unwrap_or_default()
        };
        let number = |field: &[u8], at| {
            let mut words = field.split(u8::is_ascii_whitespace);
            words
                .nth(at)
                .and_then(|word| str::from_utf8(word).ok()?.parse().ok())
        };
        let arguments = fs::read(at("cmdline")).unwrap_or_default();
        let arguments = arguments.strip_suffix(b"\0").unwrap_or(&arguments);
        let link = fs::read_link(at("exe")).ok();
        let (program, is_replaced) = match link {
            None => (None, false),
            Some(path) => match path.as_os_str().as_bytes().strip_suffix(b" (deleted)") {
                Some(bare) => (Some(PathBuf::from(std::ffi::OsStr::from_bytes(bare))), true),
                None => (Some(path), false),
            },
        };
        Ok(Process {
            id,
            parent: number(field(b"PPid:"), 0).unwrap_or(0),
            // With what is no letter in it escaped by the kernel.
            name: field(b"Name:").to_vec(),
            arguments: match arguments {
                [] => Vec::new(),
                _ => arguments.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect(),
            },
            program,
            is_replaced,
            user: number(field(b"Uid:"), 1).unwrap_or(0),
            is_filtered: field(b"Seccomp:") == b"2",
            filters: number(field(b"Seccomp_filters:"), 0),
            is_stopped: matches!(field(b"State:").first(), Some(b'T' | b't')),
            group: control_group(&fs::read(at("cgroup")).unwrap_or_default()),
        })
    }

    /// The unit of systemd it belongs to.
    pub fn unit(&self) -> Option<&[u8]> {
        unit(&self.group)
    }

    /// When it was started, or a moment later.
    pub fn started(&self) -> Option<SystemTime> {
        // Of a second, on every Linux.
        const TICKS: u64 = 100;
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id)).ok()?;
        // The name, in parentheses, may hold anything.
        let (_, rest) = stat.rsplit_once(')')?;
        let ticks: u64 = rest.split_ascii_whitespace().nth(19)?.parse().ok()?;
        let machine = fs::read_to_string("/proc/stat").ok()?;
        let boot = machine.lines().find_map(|line| line.strip_prefix("btime "))?;
        let boot: u64 = boot.trim().parse().ok()?;
        // The kernel rounds both down.
        Some(UNIX_EPOCH + Duration::from_secs(boot + ticks / TICKS + 2))
    }

    /// The libwrap that it has loaded.
    ///
    /// # Errors
    /// Where this user may not know.
    pub fn libwrap(&self) -> io::Result<Option<Mapped>> {
        let maps = fs::read(format!("/proc/{}/maps", self.id))?;
        Ok(mapped(&maps))
    }

    /// The numbers of the sockets it holds.
    ///
    /// # Errors
    /// Where this user may not know.
    pub fn sockets(id: u32) -> io::Result<Vec<u64>> {
        Ok(descriptors(id)?
            .iter()
            .filter_map(|link| socket(link.as_os_str().as_bytes()))
            .collect())
    }

    /// The number of a namespace it is in, `net` or `mnt`.
    pub fn namespace(id: u32, kind: &str) -> Option<u64> {
        fs::metadata(format!("/proc/{id}/ns/{kind}"))
            .ok()
            .map(|facts| facts.ino())
    }
}

fn descriptors(id: u32) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(format!("/proc/{id}/fd"))?.flatten();
    Ok(entries
        .filter_map(|entry| fs::read_link(entry.path()).ok())
        .collect())
}

/// A libwrap in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapped {
    /// Its file.
    pub path: PathBuf,
    /// The file has been removed, or another was put in its place, since.
    pub is_replaced: bool,
}

fn mapped(maps: &[u8]) -> Option<Mapped> {
    maps.split(|byte| *byte == b'\n').find_map(|line| {
        let path = &line[memchr::memchr(b'/', line)?..];
        let (path, is_replaced) = match path.strip_suffix(b" (deleted)") {
            Some(bare) => (bare, true),
            None => (path, false),
        };
        let file = path.rsplit(|byte| *byte == b'/').next()?;
        file.starts_with(b"libwrap.so").then(|| Mapped {
            path: PathBuf::from(std::ffi::OsStr::from_bytes(path)),
            is_replaced,
        })
    })
}

fn socket(link: &[u8]) -> Option<u64> {
    let number = link.strip_prefix(b"socket:[")?.strip_suffix(b"]")?;
    str::from_utf8(number).ok()?.parse().ok()
}

/// The one of systemd's own hierarchy, or of the only one. Where both are there, only one of them may have units.
fn control_group(text: &[u8]) -> Vec<u8> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let path = |marker: &[u8]| {
        lines.iter().find_map(|line| {
            let rest = &line[memchr::memchr(b':', line)?..];
            rest.strip_prefix(marker).map(<[u8]>::to_vec)
        })
    };
    let both = [path(b":name=systemd:"), path(b"::")];
    let mut all = both.into_iter().flatten();
    let first = all.next().unwrap_or_default();
    match unit(&first) {
        Some(_) => first,
        None => all.find(|group| unit(group).is_some()).unwrap_or(first),
    }
}

/// The innermost service or scope of a control group.
fn unit(group: &[u8]) -> Option<&[u8]> {
    group
        .rsplit(|byte| *byte == b'/')
        .find(|part| part.ends_with(b".service") || part.ends_with(b".scope"))
}

/// The ids of all processes.
pub fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// A process, its parent, and so on.
pub fn lineage(process: &Process) -> impl Iterator<Item = u32> {
    const LONGEST: usize = 64;
    let parent = |id: &u32| {
        let status = fs::read(format!("/proc/{id}/status")).ok()?;
        let line = status
            .split(|byte| *byte == b'\n')
            .find_map(|line| line.strip_prefix(b"PPid:"))?;
        str::from_utf8(line.trim_ascii())
            .ok()?
            .parse()
            .ok()
            .filter(|parent| *parent > 0)
    };
    std::iter::successors(Some(process.id), parent).take(LONGEST)
}

/// Are all processes of this host to be seen here, and not those of a PID namespace alone?
pub fn sees_all() -> bool {
    // The number of the first namespace is fixed.
    const FIRST: u64 = 0xeffffffc;
    Process::namespace(std::process::id(), "pid") == Some(FIRST)
}

/// Who holds which sockets.
#[derive(Debug, Clone, Default)]
pub struct Holders {
    /// The processes by the socket's number, the oldest first.
    pub of: HashMap<u64, Vec<u32>>,
    /// Processes whose sockets this user may not know.
    pub hidden: Vec<u32>,
}

impl Holders {
    /// Looks at these processes.
    pub fn among(processes: &[u32]) -> Self {
        let mut holders = Holders::default();
        for id in processes {
            match Process::sockets(*id) {
                Ok(sockets) => {
                    for socket in sockets {
                        let of = holders.of.entry(socket).or_default();
                        if of.last() != Some(id) {
                            of.push(*id);
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => holders.hidden.push(*id),
                // It has ended.
                Err(_) => {}
            }
        }
        holders
    }
}

/// The file of a process's own, past whatever root directory it has.
pub fn in_root(id: u32, path: &Path) -> PathBuf {
    match path.strip_prefix("/") {
        Ok(relative) => PathBuf::from(format!("/proc/{id}/root")).join(relative),
        Err(_) => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_very_process() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let id = std::process::id();
        let process = Process::read(id).unwrap();
        assert_eq!(process.program, Some(std::env::current_exe().unwrap()));
        assert!(!process.is_replaced && !process.is_stopped);
        let age = process.started().unwrap().elapsed().unwrap_or_default();
        assert!(age < Duration::from_secs(24 * 3600), "{age:?}");
        assert!(!process.arguments.is_empty());
        assert_eq!(process.libwrap().unwrap(), None);
        assert_eq!(lineage(&process).nth(1), Some(process.parent));
        let holders = Holders::among(&[id]);
        let link = fs::read_link(format!(
            "/proc/self/fd/{}",
            std::os::fd::AsRawFd::as_raw_fd(&listener)
        ))
        .unwrap();
        let number = socket(link.as_os_str().as_bytes()).unwrap();
        assert_eq!(holders.of[&number], [id]);
        assert!(all().contains(&id));
    }

    #[test]
    fn libraries_in_memory() {
        let maps = b"7f00-7f01 r-xp 0 08:01 1 /usr/lib/libc.so.6\n7f02-7f03 r-xp 0 08:01 2                /opt/a b/libwrap.so.0.7.6\n";
        let found = mapped(maps).unwrap();
        assert_eq!(found.path, Path::new("/opt/a b/libwrap.so.0.7.6"));
        assert!(!found.is_replaced);
        assert!(
            mapped(b"1-2 r-xp 0 0:0 1 /x/libwrap.so.0 (deleted)\n")
                .unwrap()
                .is_replaced
        );
        assert_eq!(mapped(b"1-2 r-xp 0 0:0 1 /x/libwrapper.so\n"), None);
    }

    #[test]
    fn units_of_groups() {
        assert_eq!(unit(b"/system.slice/ssh.service"), Some(&b"ssh.service"[..]));
        assert_eq!(unit(b"/system.slice/a.service/sub"), Some(&b"a.service"[..]));
        assert_eq!(
            unit(b"/user.slice/user-0.slice/session-3.scope"),
            Some(&b"session-3.scope"[..])
        );
        assert_eq!(unit(b"/"), None);
        assert_eq!(
            control_group(b"0::/system.slice/x.service\n"),
            b"/system.slice/x.service"
        );
        assert_eq!(
            control_group(b"3:cpu:/y\n1:name=systemd:/system.slice/x.service\n0::/\n"),
            b"/system.slice/x.service"
        );
        assert_eq!(
            control_group(b"1:name=systemd:/\n0::/system.slice/x.service\n"),
            b"/system.slice/x.service"
        );
        assert_eq!(control_group(b"1:name=systemd:/a\n0::/b\n"), b"/a");
    }
}
