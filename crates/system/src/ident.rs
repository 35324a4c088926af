//! Asking the client's host who holds the connection (RFC 1413), a claim that host is free to make up.
//!
//! Nothing the other end sends or leaves unsent can do more than yield no name: the reply is bounded in
//! length and the whole exchange in time.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use hosts_access::decide::reason;

use crate::poll;
use crate::sockaddr::Raw;

/// The port ident servers listen on.
pub const PORT: u16 = 113;
/// How long to wait unless a rule says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(10);
/// A reply may be this long.
const REPLY: usize = 511;
/// A user name may be this long.
const NAME: usize = 255;

/// The user that the client's host names for the connection between the two addresses, which must be of one
/// family. The question goes out from the server's own address. Nothing where there is no answer within
/// `timeout`, or none that names a user; `warn` is told where no question could be asked.
pub fn user(
    client: &SocketAddr,
    server: &SocketAddr,
    timeout: Duration,
    warn: &mut dyn FnMut(Vec<u8>),
) -> Option<Vec<u8>> {
    let deadline = Instant::now().checked_add(timeout)?;
    let socket = match socket(server) {
        Ok(socket) => socket,
        Err(error) => {
            warn(format!("socket: {}", reason(&error)).into());
            return None;
        }
    };
    let reply = ask(socket, client, server, deadline).ok()?;
    parse(&reply, client.port(), server.port()).map(<[u8]>::to_vec)
}

fn socket(local: &SocketAddr) -> io::Result<OwnedFd> {
    let family = match local {
        SocketAddr::V4(_) => libc::AF_INET,
        SocketAddr::V6(_) => libc::AF_INET6,
    };
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: takes numbers only.
    match unsafe { libc::socket(family, kind, 0) } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: a new descriptor that nobody else knows.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// Sends the question and reads the first line of the reply.
fn ask(socket: OwnedFd, client: &SocketAddr, server: &SocketAddr, deadline: Instant) -> io::Result<Vec<u8>> {
    let (mut from, mut to) = (*server, *client);
    from.set_port(0);
    to.set_port(PORT);
    let (from, to) = (Raw::from(&from), Raw::from(&to));
    // SAFETY: an address with its length.
    check(unsafe { libc::bind(socket.as_raw_fd(), from.as_ptr(), from.length()) })?;
    // SAFETY: an address with its length.
    let connected = check(unsafe { libc::connect(socket.as_raw_fd(), to.as_ptr(), to.length()) });
    let mut stream = TcpStream::from(socket);
    if let Err(error) = connected {
        if !matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EINTR)) {
            return Err(error);
        }
        poll::wait(stream.as_fd(), libc::POLLOUT, deadline)?;
        if let Some(error) = stream.take_error()? {
            return Err(error);
        }
    }
    let question = format!("{},{}\r\n", client.port(), server.port());
    let mut left = question.as_bytes();
    while !left.is_empty() {
        poll::wait(stream.as_fd(), libc::POLLOUT, deadline)?;
        left = &left[progress(stream.write(left))?..];
    }
    let mut reply = vec![0; REPLY];
    let mut length = 0;
    while length < REPLY && !reply[..length].contains(&b'\n') {
        poll::wait(stream.as_fd(), libc::POLLIN, deadline)?;
        let read = stream.read(&mut reply[length..]);
        if matches!(read, Ok(0)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        length += progress(read)?;
    }
    reply.truncate(length);
    Ok(reply)
}

fn check(status: libc::c_int) -> io::Result<()> {
    match status {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A call that got nowhere for now has made no progress.
fn progress(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Ok(0)
        }
        result => result,
    }
}

/// The user named by the first line of a reply, if it is about these two ports:
/// `CLIENT-PORT , SERVER-PORT : USERID : SYSTEM : USER`, blanks at will. The name ends at the first blank.
///
/// ```
/// use system::ident::parse;
/// let reply = b"6193, 23 : USERID : UNIX : stjohns\r\n";
/// assert_eq!(parse(reply, 6193, 23), Some(&b"stjohns"[..]));
/// assert_eq!(parse(reply, 6193, 25), None);
/// assert_eq!(parse(b"6193, 23 : ERROR : NO-USER\r\n", 6193, 23), None);
/// ```
pub fn parse(reply: &[u8], client_port: u16, server_port: u16) -> Option<&[u8]> {
    let end = reply.iter().position(|b| matches!(b, b'\n' | 0));
    let rest = &reply[..end.unwrap_or(reply.len())];
    let (remote, rest) = number(rest)?;
    let (local, rest) = number(after(rest, b",")?)?;
    let rest = after(after(after(rest, b":")?, b"USERID")?, b":")?;
    let system = rest
        .iter()
        .position(|b| *b == b':')
        .filter(|length| *length > 0)?;
    let name = trim_start(&rest[system + 1..]);
    let length = name.iter().position(|b| is_blank(*b)).unwrap_or(name.len());
    let name = &name[..length.min(NAME)];
    let ports_agree = remote == u32::from(client_port) && local == u32::from(server_port);
    (ports_agree && !name.is_empty()).then_some(name)
}

/// What follows `word`, which blanks may precede.
fn after<'t>(text: &'t [u8], word: &[u8]) -> Option<&'t [u8]> {
    trim_start(text).strip_prefix(word)
}

/// A decimal number and what follows it, read as C reads one: a sign may precede it, and it wraps around.
fn number(text: &[u8]) -> Option<(u32, &[u8])> {
    let text = trim_start(text);
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    let length = digits.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = digits.split_at(length);
    if digits.is_empty() {
        return None;
    }
    let value = digits.iter().try_fold(0u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0'))
    });
    let value = match value {
        Some(value) if negative => value.wrapping_neg(),
        Some(value) => value,
        None => u64::MAX,
    };
    Some((value as u32, rest))
}

fn trim_start(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| is_blank(**b)).count();
    &text[blanks..]
}

/// As C's `isspace`.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t'..=b'\r')
}
