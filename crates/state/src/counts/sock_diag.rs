//! The kernel's list of connections, sock_diag(7): asked for one port, with the filter done by the kernel.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::FromRawFd;

use super::{End, bits};

const NETLINK_SOCK_DIAG: libc::c_int = 4;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const ESTABLISHED: u32 = 1;
const CLOSE_WAIT: u32 = 8;
const BYTECODE: u16 = 1;
/// Comparisons of the server's port, in the kernel's filter language.
const PORT_AT_LEAST: u8 = 2;
const PORT_AT_MOST: u8 = 3;

/// A message's head, a request, and the program of the filter with its head.
const REQUEST: usize = 16 + 56 + 4 + 16;

fn request(family: u8, port: u16) -> [u8; REQUEST] {
    let mut out = Vec::with_capacity(REQUEST);
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    out.extend((REQUEST as u32).to_ne_bytes());
    out.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    // Sequence number and sender are the kernel's to fill in.
    out.extend([0; 8]);
    out.extend([family, libc::IPPROTO_TCP as u8, 0, 0]);
    out.extend((1u32 << ESTABLISHED | 1 << CLOSE_WAIT).to_ne_bytes());
    // A dump names no connection.
    out.extend([0; 48]);
    out.extend(20u16.to_ne_bytes());
    out.extend(BYTECODE.to_ne_bytes());
    // Each comparison is two instructions, of which the second holds the port. Where it fails, the program goes
    // beyond its end, which rejects.
    for (code, beyond) in [(PORT_AT_LEAST, 20u16), (PORT_AT_MOST, 12)] {
        out.extend([code, 8]);
        out.extend(beyond.to_ne_bytes());
        out.extend([0, 0]);
        out.extend(port.to_ne_bytes());
    }
    out.try_into().unwrap_or([0; REQUEST])
}

/// The clients of all connections to a port that a program has accepted.
pub(super) fn clients(port: u16) -> io::Result<Vec<End>> {
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: socket takes no memory, and what it returns is checked.
    let descriptor = unsafe { libc::socket(libc::AF_NETLINK, kind, NETLINK_SOCK_DIAG) };
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor is new and nobody else's.
    let mut socket = unsafe { File::from_raw_fd(descriptor) };
    let mut all = Vec::new();
    for family in [libc::AF_INET, libc::AF_INET6] {
        socket.write_all(&request(family as u8, port))?;
        dump(&mut socket, port, &mut all)?;
    }
    Ok(all)
}

fn dump(socket: &mut File, port: u16, all: &mut Vec<End>) -> io::Result<()> {
    const DONE: u16 = libc::NLMSG_DONE as u16;
    const ERROR: u16 = libc::NLMSG_ERROR as u16;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let size = match socket.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            size => size?,
        };
        let mut rest = &buffer[..size];
        while let Some((head, _)) = rest.split_first_chunk::<16>() {
            let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let message = rest.get(16..length).ok_or(io::ErrorKind::InvalidData)?;
            match u16::from_ne_bytes([head[4], head[5]]) {
                DONE => return Ok(()),
                ERROR => {
                    let code = message.first_chunk().map_or(0, |code| i32::from_ne_bytes(*code));
                    return Err(io::Error::from_raw_os_error(-code));
                }
                SOCK_DIAG_BY_FAMILY => all.extend(client(message, port)),
                _ => {}
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
    }
}

/// The client of a connection, if a program has it: one in a listener's queue has no inode.
fn client(message: &[u8], port: u16) -> Option<End> {
    let bytes = |at: usize, size: usize| message.get(at..at + size);
    let number = |at: usize| bytes(at, 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let is_accepted = bytes(68, 4)?.iter().any(|byte| *byte != 0);
    if !is_accepted || number(4)? != port {
        return None;
    }
    let address = if i32::from(*message.first()?) == libc::AF_INET {
        let four: [u8; 4] = bytes(24, 4)?.try_into().ok()?;
        IpAddr::from(Ipv4Addr::from(four))
    } else {
        let sixteen: [u8; 16] = bytes(24, 16)?.try_into().ok()?;
        IpAddr::from(Ipv6Addr::from(sixteen))
    };
    Some((bits(address), number(6)?))
}
