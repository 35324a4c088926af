//! % expansion of option values and banners (hosts_access(5), % EXPANSIONS).

use crate::diagnostic::Kind;
use crate::request::{Request, Side, is_known_name, is_unknown};

/// Expands `%` sequences of `text`. Expanded text is made safe for a shell: every character outside
/// `A–Z a–z 0–9 ! @ % - _ = + : , . /` becomes `_`. The literal part of `text` is left as it is.
pub fn expand(text: &[u8], request: &mut Request<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 32);
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'%', rest) {
        out.extend_from_slice(&rest[..at]);
        let Some(&letter) = rest.get(at + 1) else {
            rest = &rest[at..];
            break;
        };
        rest = &rest[at + 2..];
        let from = out.len();
        match letter {
            b'a' => out.extend_from_slice(request.address(Side::Client)),
            b'A' => out.extend_from_slice(request.address(Side::Server)),
            b'c' => out.extend_from_slice(&client_info(request)),
            b'd' => out.extend_from_slice(request.daemon()),
            b'h' => out.extend_from_slice(&host_info(request, Side::Client)),
            b'H' => out.extend_from_slice(&host_info(request, Side::Server)),
            b'n' => out.extend_from_slice(request.name(Side::Client)),
            b'N' => out.extend_from_slice(request.name(Side::Server)),
            b'p' => out.extend_from_slice(request.process_id()),
            b'r' => push_port(&mut out, request.port(Side::Client)),
            b'R' => push_port(&mut out, request.port(Side::Server)),
            b's' => out.extend_from_slice(&server_info(request)),
            b'u' => out.extend_from_slice(request.user()),
            b'%' => out.push(b'%'),
            _ => request.log(Kind::Warning, [b"unrecognized %", &[letter][..]].concat()),
        }
        for byte in &mut out[from..] {
            if !is_safe(*byte) {
                *byte = b'_';
            }
        }
    }
    out.extend_from_slice(rest);
    out
}

fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!@%-_=+:,./".contains(&byte)
}

fn push_port(out: &mut Vec<u8>, port: Option<u16>) {
    out.extend_from_slice(port.unwrap_or(0).to_string().as_bytes());
}

/// `%h`: the name, if it was looked up and is known; else the address. Starts no name lookup.
pub fn host_info(request: &mut Request<'_>, side: Side) -> Vec<u8> {
    match request.looked_up_name(side) {
        Some(name) if is_known_name(name) => name.to_vec(),
        _ => request.address(side).to_vec(),
    }
}

/// `%c`, which log lines call the client: `user@host`, `user@address`, host or address, as far as
/// these were looked up.
pub fn client_info(request: &mut Request<'_>) -> Vec<u8> {
    let host = host_info(request, Side::Client);
    match request.looked_up_user() {
        Some(user) if !is_unknown(user) => [user, b"@", &host].concat(),
        _ => host,
    }
}

/// `%s`: `daemon@host`, `daemon@address`, or the daemon alone.
pub fn server_info(request: &mut Request<'_>) -> Vec<u8> {
    let host = host_info(request, Side::Server);
    if is_unknown(&host) {
        request.daemon().to_vec()
    } else {
        [request.daemon(), b"@", &host].concat()
    }
}
