//! % expansion of option values and banners (hosts_access(5), % EXPANSIONS).

use crate::diagnostic::Kind;
use crate::request::{Pending, Request, Side, is_known_name, is_unknown};
use crate::room;

/// A text whose `%` sequences are being expanded. Expanded text is made safe for a shell: every character outside
/// `A–Z a–z 0–9 ! @ % - _ = + : , . /` becomes `_`. The literal part of the text is left as it is.
///
/// What is expanded stays so: what a later sequence looks up does not show in an earlier one.
///
/// ```
/// use hosts_access::{Request, Side, expand::Expansion};
/// let mut request = Request::new("sshd").known_address(Side::Client, "192.0.2.1");
/// let mut expansion = Expansion::default();
/// assert!(expansion.go_on(b"%h is %n", &mut request).is_err());
/// request.set_name(Side::Client, b"client.example.org");
/// assert!(expansion.go_on(b"%h is %n", &mut request).is_ok());
/// assert_eq!(expansion.into_text(), b"192.0.2.1 is client.example.org");
/// ```
#[derive(Debug, Default, Clone)]
pub struct Expansion {
    /// How much of the text has been expanded.
    at: usize,
    out: Vec<u8>,
}

impl Expansion {
    /// Expands what is left of `text`, which is the same each time, or longer.
    ///
    /// # Errors
    /// What a sequence stands for is not known yet.
    pub fn go_on(&mut self, text: &[u8], request: &mut Request) -> Result<(), Pending> {
        while let Some(at) = memchr::memchr(b'%', &text[self.at..]).map(|at| self.at + at) {
            self.out.extend_from_slice(&text[self.at..at]);
            self.at = at;
            let Some(&letter) = text.get(at + 1) else { break };
            let (from, room) = (self.out.len(), self.out.capacity());
            sequence(letter, request, &mut self.out)?;
            if self.out.capacity() != room {
                // It grows again, and what it is for is copied.
                room::expect(6 * self.out.capacity());
            }
            self.at += 2;
            for byte in &mut self.out[from..] {
                if !is_safe(*byte) {
                    *byte = b'_';
                }
            }
        }
        self.out.extend_from_slice(&text[self.at..]);
        self.at = text.len();
        Ok(())
    }

    /// The expanded text.
    pub fn into_text(self) -> Vec<u8> {
        self.out
    }
}

/// Adds what `%letter` stands for; nothing, where that is not known yet.
fn sequence(letter: u8, request: &mut Request, out: &mut Vec<u8>) -> Result<(), Pending> {
    match letter {
        b'a' => out.extend_from_slice(request.address(Side::Client)?),
        b'A' => out.extend_from_slice(request.address(Side::Server)?),
        b'c' => out.extend_from_slice(&client_info(request)?),
        b'd' => out.extend_from_slice(request.daemon()),
        b'h' => out.extend_from_slice(&host_info(request, Side::Client)?),
        b'H' => out.extend_from_slice(&host_info(request, Side::Server)?),
        b'n' => out.extend_from_slice(request.name(Side::Client)?),
        b'N' => out.extend_from_slice(request.name(Side::Server)?),
        b'p' => out.extend_from_slice(request.process_id()),
        b'r' => push_port(out, request.port(Side::Client)?),
        b'R' => push_port(out, request.port(Side::Server)?),
        b's' => out.extend_from_slice(&server_info(request)?),
        b'u' => out.extend_from_slice(request.user()?),
        b'%' => out.push(b'%'),
        _ => request.log(Kind::Warning, [b"unrecognized %", &[letter][..]].concat()),
    }
    Ok(())
}

/// A banner file made ready to send: each line % expanded, LF made CR LF, leading NUL bytes unchanged.
#[derive(Debug)]
pub(crate) struct Banner {
    file: Vec<u8>,
    expansion: Expansion,
}

impl Banner {
    pub(crate) fn new(file: Vec<u8>) -> Self {
        let nuls = file.iter().position(|b| *b != 0).unwrap_or(file.len());
        let expansion = Expansion {
            at: nuls,
            out: file[..nuls].to_vec(),
        };
        Banner { file, expansion }
    }

    /// As [`Expansion::go_on`].
    pub(crate) fn go_on(&mut self, request: &mut Request) -> Result<(), Pending> {
        while let Some(end) = memchr::memchr(b'\n', &self.file[self.expansion.at..]) {
            let end = self.expansion.at + end;
            self.expansion.go_on(&self.file[..end], request)?;
            self.expansion.out.extend_from_slice(b"\r\n");
            self.expansion.at = end + 1;
        }
        self.expansion.go_on(&self.file, request)
    }

    pub(crate) fn into_text(self) -> Vec<u8> {
        self.expansion.out
    }
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!@%-_=+:,./".contains(&byte)
}

fn push_port(out: &mut Vec<u8>, port: Option<u16>) {
    out.extend_from_slice(port.unwrap_or(0).to_string().as_bytes());
}

/// `%h`: the name, if it was looked up and is known; else the address. Starts no name lookup.
///
/// # Errors
/// The address is wanted and not known yet.
fn host_info(request: &mut Request, side: Side) -> Result<Vec<u8>, Pending> {
    match request.looked_up_name(side) {
        Some(name) if is_known_name(name) => Ok(name.to_vec()),
        _ => Ok(request.address(side)?.to_vec()),
    }
}

/// `%c`, which log lines call the client: `user@host`, `user@address`, host or address, as far as
/// these were looked up.
///
/// # Errors
/// As [`host_info`].
pub(crate) fn client_info(request: &mut Request) -> Result<Vec<u8>, Pending> {
    let host = host_info(request, Side::Client)?;
    Ok(match request.looked_up_user() {
        Some(user) if !is_unknown(user) => [user, b"@", &host].concat(),
        _ => host,
    })
}

/// `%s`: `daemon@host`, `daemon@address`, or the daemon alone.
///
/// # Errors
/// As [`host_info`].
fn server_info(request: &mut Request) -> Result<Vec<u8>, Pending> {
    let host = host_info(request, Side::Server)?;
    Ok(if is_unknown(&host) {
        request.daemon().to_vec()
    } else {
        [request.daemon(), b"@", &host].concat()
    })
}
