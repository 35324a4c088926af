//! What options do to the connection: `keepalive`, `linger` and `banners` (hosts_options(5)), and the IP
//! options a client may have sent along.

use std::ffi::{OsStr, c_int, c_void};
use std::fs;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, Instant};

use hosts_access::decide::reason;
use hosts_access::source;

use crate::endpoints::Endpoint;
use crate::poll;
use crate::syslog::{self, Log};

/// A banner file may be this large, in bytes.
const LARGEST_BANNER: u64 = 64 << 10;
/// A client has this long to take a banner in.
pub const BANNER_TIMEOUT: Duration = Duration::from_secs(20);

/// Has the kernel probe whether the client is still there.
///
/// # Errors
/// As `setsockopt` says.
pub fn keep_alive(connection: BorrowedFd<'_>) -> io::Result<()> {
    let on: c_int = 1;
    set_option(connection, libc::SOL_SOCKET, libc::SO_KEEPALIVE, &on)
}

/// Is it a socket whose client has shown by a handshake that its address is its own?
pub fn is_stream(connection: BorrowedFd<'_>) -> bool {
    let mut kind: libc::c_int = 0;
    let mut length = size_of_val(&kind) as libc::socklen_t;
    // SAFETY: room for a number, and its size.
    let result = unsafe {
        libc::getsockopt(
            connection.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            (&raw mut kind).cast(),
            &mut length,
        )
    };
    result == 0 && kind == libc::SOCK_STREAM
}

/// Has `close` wait up to this many seconds for unsent data.
///
/// # Errors
/// As `setsockopt` says.
pub fn linger(connection: BorrowedFd<'_>, seconds: u32) -> io::Result<()> {
    let linger = libc::linger {
        l_onoff: c_int::from(seconds != 0),
        l_linger: c_int::try_from(seconds).unwrap_or(c_int::MAX),
    };
    set_option(connection, libc::SOL_SOCKET, libc::SO_LINGER, &linger)
}

fn set_option<T>(socket: BorrowedFd<'_>, level: c_int, name: c_int, value: &T) -> io::Result<()> {
    // SAFETY: a value of a plain type, with its size.
    let status = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            name,
            (&raw const *value).cast::<c_void>(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The banner file `directory/daemon`. Nothing where there is none, or it cannot be read; `warn` is told of a
/// directory that is missing and of a file that is too large.
pub fn banner(directory: &[u8], daemon: &[u8], warn: &mut dyn FnMut(Vec<u8>)) -> Option<Vec<u8>> {
    if let Err(error) = fs::metadata(OsStr::from_bytes(directory)) {
        warn([directory, b": ", reason(&error).as_bytes()].concat());
        return None;
    }
    let path = [directory, b"/", daemon].concat();
    let text = read_banner(Path::new(OsStr::from_bytes(&path))).ok()??;
    if text.len() as u64 > LARGEST_BANNER {
        let problem = format!(": larger than {LARGEST_BANNER} bytes, not sent");
        warn([&path[..], problem.as_bytes()].concat());
        return None;
    }
    Some(text)
}

fn read_banner(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = source::open(path)?;
    if !file.metadata()?.is_file() {
        return Ok(None);
    }
    let mut text = Vec::new();
    file.take(LARGEST_BANNER + 1).read_to_end(&mut text)?;
    Ok(Some(text))
}

/// Sends a text to the client: all of it, or what the client takes in before the time is over. A client may be at
/// the other end of a pipe or a terminal instead of a socket; one that is slow is then waited for.
///
/// # Errors
/// As `send` and `write` say, or [`TimedOut`](io::ErrorKind::TimedOut).
pub fn send(connection: BorrowedFd<'_>, text: &[u8], timeout: Duration) -> io::Result<()> {
    let deadline = Instant::now() + timeout;
    let mut left = text;
    while !left.is_empty() {
        let flags = libc::MSG_NOSIGNAL | libc::MSG_DONTWAIT;
        // SAFETY: bytes, with their count.
        let sent = unsafe { libc::send(connection.as_raw_fd(), left.as_ptr().cast(), left.len(), flags) };
        match usize::try_from(sent) {
            Ok(sent) => left = &left[sent..],
            Err(_) => {
                let error = io::Error::last_os_error();
                match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    _ if error.raw_os_error() == Some(libc::ENOTSOCK) => {
                        return write(connection, left, deadline);
                    }
                    io::ErrorKind::WouldBlock => poll::wait(connection, libc::POLLOUT, deadline)?,
                    _ => return Err(error),
                }
            }
        }
        if !left.is_empty() && Instant::now() >= deadline {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    Ok(())
}

/// As [`send`], to what is no socket. A pipe that is ready takes in `PIPE_BUF` bytes without making its writer wait.
fn write(connection: BorrowedFd<'_>, text: &[u8], deadline: Instant) -> io::Result<()> {
    let mut left = text;
    while !left.is_empty() {
        poll::wait(connection, libc::POLLOUT, deadline)?;
        let piece = &left[..left.len().min(libc::PIPE_BUF)];
        // SAFETY: bytes, with their count.
        let written = without_sigpipe(|| unsafe {
            libc::write(connection.as_raw_fd(), piece.as_ptr().cast(), piece.len())
        })?;
        match usize::try_from(written) {
            Ok(written) => left = &left[written..],
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error if error.kind() == io::ErrorKind::WouldBlock => {}
                error => return Err(error),
            },
        }
    }
    Ok(())
}

/// Runs a system call in a thread that `SIGPIPE` cannot end; what the call raises of it is taken back.
fn without_sigpipe(call: impl FnOnce() -> isize) -> io::Result<isize> {
    // SAFETY: sets of signals, each initialised before it is used; `errno` is set again to what the call left.
    unsafe {
        let [mut pipe, mut before, mut pending]: [libc::sigset_t; 3] = std::mem::zeroed();
        libc::sigemptyset(&mut pipe);
        libc::sigaddset(&mut pipe, libc::SIGPIPE);
        libc::sigpending(&mut pending);
        match libc::pthread_sigmask(libc::SIG_BLOCK, &pipe, &mut before) {
            0 => {}
            number => return Err(io::Error::from_raw_os_error(number)),
        }
        let result = call();
        let number = *libc::__errno_location();
        if result < 0 && number == libc::EPIPE && libc::sigismember(&pending, libc::SIGPIPE) == 0 {
            let at_once = libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            };
            libc::sigtimedwait(&pipe, std::ptr::null_mut(), &at_once);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, std::ptr::null_mut());
        *libc::__errno_location() = number;
        Ok(result)
    }
}

/// Finds out whether the descriptor is a socket.
///
/// # Errors
/// It is not.
pub fn check_socket(connection: BorrowedFd<'_>) -> io::Result<()> {
    let mut kind: c_int = 0;
    let mut length = size_of_val(&kind) as libc::socklen_t;
    // SAFETY: room for `length` bytes.
    let status = unsafe {
        let to = (&raw mut kind).cast();
        libc::getsockopt(
            connection.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_TYPE,
            to,
            &mut length,
        )
    };
    if status == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Ends the connection in both directions.
pub fn shut_down(connection: BorrowedFd<'_>) {
    // SAFETY: takes numbers only; what is no connection stays as it is.
    unsafe { libc::shutdown(connection.as_raw_fd(), libc::SHUT_RDWR) };
}

/// The IP options a client sent along, empty where there are none.
///
/// # Errors
/// As `getsockopt` says: this is no IPv4 socket.
pub fn ip_options(connection: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut options = [0u8; 64];
    let mut length = size_of_val(&options) as libc::socklen_t;
    // SAFETY: room for `length` bytes.
    let status = unsafe {
        libc::getsockopt(
            connection.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_OPTIONS,
            options.as_mut_ptr().cast(),
            &mut length,
        )
    };
    match status {
        0 => Ok(options[..options.len().min(length as usize)].to_vec()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Forgets the IP options, so that none are sent back.
///
/// # Errors
/// As `setsockopt` says.
fn clear_ip_options(connection: BorrowedFd<'_>) -> io::Result<()> {
    set_option(connection, libc::IPPROTO_IP, libc::IP_OPTIONS, &[0u8; 0])
}

/// Do the options ask for a route of the client's choosing, strict or loose? An address that chooses its
/// route proves nothing.
///
/// ```
/// use system::connection::source_routed;
/// assert!(source_routed(&[1, 131, 7, 4, 192, 0, 2, 1]));
/// assert!(!source_routed(&[7, 7, 4, 131, 0, 0, 0, 0]));
/// ```
pub fn source_routed(options: &[u8]) -> bool {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE: u8 = 131;
    const STRICT: u8 = 137;
    let mut rest = options;
    while let Some(&kind) = rest.first() {
        let length = match kind {
            END => return false,
            NO_OPERATION => 1,
            LOOSE | STRICT => return true,
            _ => usize::from(*rest.get(1).unwrap_or(&0)).max(2),
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    false
}

/// Refuses a client that chose the route of its packets, and logs that. Other IP options are logged and
/// cleared, so that what is sent back carries none.
pub fn ip_options_allow(client: BorrowedFd<'_>, endpoint: &Endpoint, log: &Log<'_>) -> bool {
    let options = match endpoint.internet() {
        // Only IPv4 has them; a socket that cannot tell has none.
        Some(_) => ip_options(client).unwrap_or_default(),
        None => return true,
    };
    if options.is_empty() {
        return true;
    }
    let mut line = endpoint.text();
    if source_routed(&options) {
        line.splice(0..0, *b"refused connect from ");
        line.extend_from_slice(b" with IP source routing options");
        log(syslog::WARNING, &line);
        return false;
    }
    line.splice(0..0, *b"connect from ");
    line.extend_from_slice(b" with IP options (ignored):");
    for byte in &options {
        line.extend_from_slice(format!(" {byte:02x}").as_bytes());
    }
    log(syslog::NOTICE, &line);
    if let Err(error) = clear_ip_options(client) {
        let line = format!("setsockopt IP_OPTIONS NULL: {}", reason(&error));
        log(syslog::ERR, line.as_bytes());
        return false;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;
    use std::thread;

    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    #[test]
    fn all_of_a_text_is_sent() {
        let (mut client, server) = pair();
        let text: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
        let expected = text.clone();
        let reader = thread::spawn(move || {
            let mut found = Vec::new();
            client.read_to_end(&mut found).unwrap();
            found
        });
        send(server.as_fd(), &text, BANNER_TIMEOUT).unwrap();
        drop(server);
        assert!(reader.join().unwrap() == expected);
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up() {
        let (_client, server) = pair();
        let error = send(server.as_fd(), &vec![0; 50 << 20], Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_client_that_is_gone_raises_no_signal() {
        let (client, server) = pair();
        drop(client);
        assert!(send(server.as_fd(), &vec![0; 10 << 20], BANNER_TIMEOUT).is_err());
    }

    #[test]
    fn all_of_a_text_goes_down_a_pipe() {
        let (mut reader, writer) = io::pipe().unwrap();
        let text: Vec<u8> = (0..300_000u32).map(|n| n as u8).collect();
        let expected = text.clone();
        let reader = thread::spawn(move || {
            let mut found = Vec::new();
            reader.read_to_end(&mut found).unwrap();
            found
        });
        send(writer.as_fd(), &text, BANNER_TIMEOUT).unwrap();
        drop(writer);
        assert!(reader.join().unwrap() == expected);
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_given_up() {
        let (_reader, writer) = io::pipe().unwrap();
        let error = send(writer.as_fd(), &vec![0; 1 << 20], Duration::from_millis(300)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn a_pipe_without_a_reader_raises_no_signal() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        // As programs have it that know nothing of Rust.
        // SAFETY: a signal and what to do about it; no other test here raises this one.
        let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        let error = send(writer.as_fd(), b"text", BANNER_TIMEOUT).unwrap_err();
        // SAFETY: as above.
        unsafe { libc::signal(libc::SIGPIPE, before) };
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[test]
    fn socket_options_take_effect() {
        let (_client, server) = pair();
        keep_alive(server.as_fd()).unwrap();
        linger(server.as_fd(), 7).unwrap();
        let get = |name| {
            let mut value = [0; 2];
            let mut length = size_of_val(&value) as libc::socklen_t;
            // SAFETY: room for `length` bytes.
            let status = unsafe {
                let to = value.as_mut_ptr().cast();
                libc::getsockopt(server.as_raw_fd(), libc::SOL_SOCKET, name, to, &mut length)
            };
            assert_eq!(status, 0);
            value
        };
        assert_eq!(get(libc::SO_KEEPALIVE)[0], 1);
        assert_eq!(get(libc::SO_LINGER), [1, 7]);
    }

    #[test]
    fn ip_options_are_read_and_cleared() {
        let (_client, server) = pair();
        assert_eq!(ip_options(server.as_fd()).unwrap(), []);
        let route = [131u8, 7, 4, 127, 0, 0, 1, 1];
        set_option(server.as_fd(), libc::IPPROTO_IP, libc::IP_OPTIONS, &route).unwrap();
        assert!(source_routed(&ip_options(server.as_fd()).unwrap()));
        clear_ip_options(server.as_fd()).unwrap();
        assert_eq!(ip_options(server.as_fd()).unwrap(), []);
    }

    #[test]
    fn banners_are_files_of_modest_size() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        fs::write(path.join("small"), "hello\n").unwrap();
        fs::write(path.join("largest"), vec![b'x'; LARGEST_BANNER as usize]).unwrap();
        fs::write(path.join("larger"), vec![b'x'; LARGEST_BANNER as usize + 1]).unwrap();
        fs::create_dir(path.join("directory")).unwrap();
        let pipe = std::ffi::CString::new(path.join("pipe").as_os_str().as_bytes()).unwrap();
        // SAFETY: a C string.
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        let read = |directory: &Path, daemon: &str| {
            let mut warnings = Vec::new();
            let found = banner(directory.as_os_str().as_bytes(), daemon.as_bytes(), &mut |w| {
                warnings.push(String::from_utf8(w).unwrap());
            });
            (found.map(|text| text.len()), warnings)
        };
        assert_eq!(read(path, "small"), (Some(6), vec![]));
        assert_eq!(read(path, "largest").0, Some(LARGEST_BANNER as usize));
        assert_eq!(read(path, "larger").0, None);
        assert_eq!(read(path, "larger").1.len(), 1);
        for silent in ["missing", "directory", "pipe"] {
            assert_eq!(read(path, silent), (None, vec![]));
        }
        let missing = path.join("none");
        let warning = format!("{}: No such file or directory", missing.display());
        assert_eq!(read(&missing, "small"), (None, vec![warning]));
    }
}
