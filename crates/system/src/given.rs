//! A descriptor that this process was given and that is named as a file, as a shell's `<(command)` is: what comes
//! from it can be read once, and has its end when somebody else has done. It is made a file.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, RawFd};
use std::path::Path;

/// The descriptor of this process that a path names.
pub fn descriptor(path: &Path) -> Option<RawFd> {
    let path = path.to_str()?;
    if path == "/dev/stdin" {
        return Some(0);
    }
    let number = path
        .strip_prefix("/dev/fd/")
        .or_else(|| path.strip_prefix("/proc/self/fd/"))?;
    number.parse().ok().filter(|number| *number >= 0)
}

/// Reads all that comes from a descriptor of this process, and puts a file in its place that holds it.
///
/// # Errors
/// It is not open, or as reading says.
pub fn make_file(descriptor: RawFd) -> io::Result<()> {
    // SAFETY: takes a number only.
    if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it is open, and nobody closes it meanwhile who had not been given it.
    let from = unsafe { BorrowedFd::borrow_raw(descriptor) };
    // SAFETY: a C string and a number; the descriptor is new.
    let mut file = unsafe {
        match libc::memfd_create(c"table".as_ptr(), libc::MFD_CLOEXEC) {
            -1 => return Err(io::Error::last_os_error()),
            new => File::from_raw_fd(new),
        }
    };
    io::copy(&mut File::from(from.try_clone_to_owned()?), &mut file)?;
    file.flush()?;
    file.rewind()?;
    // SAFETY: takes numbers only; who reads from the old number goes on with the same bytes.
    if unsafe { libc::dup2(file.as_raw_fd(), descriptor) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_becomes_a_file() {
        let (reader, mut writer) = io::pipe().unwrap();
        writer.write_all(b"sshd: ALL\n").unwrap();
        drop(writer);
        let path = format!("/dev/fd/{}", reader.as_raw_fd());
        make_file(descriptor(Path::new(&path)).unwrap()).unwrap();
        for _ in 0..2 {
            assert_eq!(std::fs::read(&path).unwrap(), b"sshd: ALL\n");
        }
        assert!(std::fs::metadata(&path).unwrap().is_file());
        for path in ["/dev/null", "/dev/fd/x", "/dev/fd/-1", "/etc/hosts.allow"] {
            assert_eq!(descriptor(Path::new(path)), None);
        }
    }
}
