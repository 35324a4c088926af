//! What the file system says about a program that a super server starts.

use std::ffi::OsStr;
use std::fs::{self, Metadata};
use std::io::{ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use hosts_access::decide::reason;
use hosts_access::source;

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

/// Does this program name libwrap among the libraries it loads? Looks for the library's name in the file,
/// which finds a program that loads it later by `dlopen` too.
pub fn uses_libwrap(program: &Path) -> bool {
    // Not on anything but a regular file: opening a FIFO or a device may block or do something.
    fs::metadata(program).is_ok_and(|facts| facts.is_file())
        && source::open(program).is_ok_and(|file| holds(file, b"libwrap.so"))
}

/// Does the text occur in what is read? Names of libraries stand at the front of large programs.
fn holds(mut from: impl Read, text: &[u8]) -> bool {
    let mut buffer = vec![0; 64 << 10];
    let mut filled = 0;
    loop {
        match from.read(&mut buffer[filled..]) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) | Ok(0) => return false,
            Ok(count) => filled += count,
        }
        if memchr::memmem::find(&buffer[..filled], text).is_some() {
            return true;
        }
        // The text may go on in the next piece.
        let kept = filled.min(text.len() - 1);
        buffer.copy_within(filled - kept..filled, 0);
        filled = kept;
    }
}

/// What was found out about a program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) set_id: bool,
    pub(super) libwrap: bool,
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
        libwrap: uses_libwrap(path),
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a piece at a time.
    struct Pieces<'t>(Vec<&'t [u8]>);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            buffer[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    #[test]
    fn a_text_is_found_wherever_it_is_cut() {
        let text = b"..libwrap.so.0";
        for at in 1..text.len() {
            let (head, tail) = text.split_at(at);
            assert!(holds(Pieces(vec![b"..", head, tail]), b"libwrap.so"), "{at}");
        }
        let bytes: Vec<&[u8]> = text.chunks(1).collect();
        assert!(holds(Pieces(bytes), b"libwrap.so"));
        assert!(!holds(Pieces(vec![b"libwrap", b"!", b".so"]), b"libwrap.so"));
        let large = [&vec![b'.'; 200_000][..], b"libwrap.so"].concat();
        assert!(holds(&large[..], b"libwrap.so"));
        assert!(!holds(&large[..large.len() - 1], b"libwrap.so"));
    }
}
