//! What the file system says about a program that a super server starts.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hosts_access::decide::reason;

/// Where tcpd looks for a daemon whose path it is not told.
pub const REAL_DAEMON_DIR: &str = "/usr/sbin";

/// Where programs that serve clients are installed.
pub const PROGRAM_DIRECTORIES: [&str; 8] = [
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/usr/libexec",
    "/usr/lib/openssh",
];

/// Services that hand the host to whoever asks, or trust what the client says of itself.
const INSECURE: [&str; 4] = ["rexd", "rpc.rexd", "rexecd", "in.rexecd"];

/// The last component of a path.
pub fn base_name(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The program of this name in one of the [`PROGRAM_DIRECTORIES`]. RPC services are known to the tables
/// without the `rpc.` of their program's name.
pub fn program(name: &[u8]) -> Option<PathBuf> {
    if name.is_empty() || name.contains(&b'/') || name.contains(&0) {
        return None;
    }
    let names = [name.to_vec(), [b"rpc.", name].concat()];
    names.iter().find_map(|name| {
        PROGRAM_DIRECTORIES
            .iter()
            .map(|directory| Path::new(directory).join(OsStr::from_bytes(name)))
            .find(|path| fs::metadata(path).is_ok_and(|facts| facts.is_file()))
    })
}

/// What was found out about a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) set_id: bool,
}

/// Looks at a program and the directories it stands in.
pub(super) fn inspect(program: &[u8], problems: &mut Vec<Vec<u8>>) -> Option<Facts> {
    let path = Path::new(OsStr::from_bytes(program));
    if !path.is_absolute() {
        problems.push([program, b": not found: a super server needs the whole path"].concat());
        return None;
    }
    let facts = match fs::metadata(path) {
        Ok(facts) => facts,
        Err(error) => {
            problems.push([program, b": not found: ", reason(&error).as_bytes()].concat());
            return None;
        }
    };
    if !facts.is_file() || facts.permissions().mode() & 0o111 == 0 {
        problems.push([program, b": not executable"].concat());
    }
    for place in path.ancestors() {
        if fs::metadata(place).is_ok_and(|facts| world_writable(&facts)) {
            problems.push([place.as_os_str().as_bytes(), b": everybody may write to it"].concat());
        }
    }
    Some(Facts {
        set_id: facts.permissions().mode() & 0o6000 != 0,
    })
}

fn world_writable(facts: &Metadata) -> bool {
    facts.permissions().mode() & 0o002 != 0
}

/// The daemon that tcpd runs when started under this name.
pub(super) fn as_tcpd_resolves(argv0: &[u8]) -> Vec<u8> {
    if argv0.first() == Some(&b'/') {
        argv0.to_vec()
    } else {
        [REAL_DAEMON_DIR.as_bytes(), b"/", argv0].concat()
    }
}

pub(super) fn is_insecure(name: &[u8]) -> bool {
    INSECURE.iter().any(|known| known.as_bytes() == name)
}
