//! Both ends of a connection, as its descriptor tells them (hosts_access(5), who is asking).
//!
//! A datagram socket that is not connected has no client of its own: its client is whoever sent the first
//! datagram that waits. That datagram stays for the service to read, or for [`drain`] to throw away.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

use hosts_access::UNKNOWN;
use hosts_access::decide::reason;
use libc::{c_int, sockaddr, socklen_t};

use crate::netdb;
use crate::sockaddr::Raw;

/// One end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// It could not be found out, or is of a family that rules know nothing of.
    Unknown,
    /// A local socket. It has no number and no port; its address has always read `localhost`.
    Local,
    /// An IPv4 or IPv6 address and port.
    Internet(SocketAddr),
}

impl Endpoint {
    fn new(raw: &Raw) -> Self {
        match (raw.address(), raw.family()) {
            (Some(address), _) => Endpoint::Internet(address),
            (None, Some(libc::AF_UNIX)) => Endpoint::Local,
            (None, _) => Endpoint::Unknown,
        }
    }

    /// The numeric address, or [`UNKNOWN`]. A mapped IPv4 address is shown as it is, a scope id by its
    /// interface's name.
    pub fn text(&self) -> Vec<u8> {
        match self {
            Endpoint::Unknown => UNKNOWN.to_vec(),
            Endpoint::Local => b"localhost".to_vec(),
            Endpoint::Internet(address) => netdb::numeric(address),
        }
    }

    /// The address and port, of an IPv4 or IPv6 endpoint.
    pub fn internet(&self) -> Option<&SocketAddr> {
        match self {
            Endpoint::Internet(address) => Some(address),
            _ => None,
        }
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoints {
    /// The remote end.
    pub client: Endpoint,
    /// This host's end.
    pub server: Endpoint,
    /// The client is known by a datagram that waits to be read.
    pub datagram: bool,
}

impl Endpoints {
    /// Nothing known.
    pub const UNKNOWN: Endpoints = Endpoints {
        client: Endpoint::Unknown,
        server: Endpoint::Unknown,
        datagram: false,
    };

    /// Finds both ends. What cannot be found out is unknown, and `warn` is told why. Waits for a datagram
    /// where the socket is a blocking one and none is there.
    pub fn of(connection: BorrowedFd<'_>, warn: &mut dyn FnMut(Vec<u8>)) -> Self {
        let mut found = Endpoints::UNKNOWN;
        let mut client = ask(connection, libc::getpeername);
        if client.is_err() {
            client = sender(connection);
            found.datagram = client.is_ok();
        }
        match client {
            Ok(client) => found.client = Endpoint::new(&client),
            Err(error) => {
                warn(format!("can't get client address: {}", reason(&error)).into());
                return found;
            }
        }
        found.server = Endpoints::server(connection, warn);
        found
    }

    /// Finds this host's end.
    pub fn server(connection: BorrowedFd<'_>, warn: &mut dyn FnMut(Vec<u8>)) -> Endpoint {
        match ask(connection, libc::getsockname) {
            Ok(server) => Endpoint::new(&server),
            Err(error) => {
                warn(format!("getsockname: {}", reason(&error)).into());
                Endpoint::Unknown
            }
        }
    }
}

type AddressCall = unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int;

fn ask(socket: BorrowedFd<'_>, call: AddressCall) -> io::Result<Raw> {
    let mut raw = Raw::room();
    let (address, length) = raw.places();
    // SAFETY: `address` has room for `length` bytes.
    match unsafe { call(socket.as_raw_fd(), address, length) } {
        0 => Ok(raw),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Who sent the first datagram that waits. It is left where it is.
fn sender(socket: BorrowedFd<'_>) -> io::Result<Raw> {
    loop {
        let mut raw = Raw::room();
        let (address, length) = raw.places();
        let fd = socket.as_raw_fd();
        // SAFETY: room for no data at all, and `address` has room for `length` bytes.
        if unsafe { libc::recvfrom(fd, ptr::null_mut(), 0, libc::MSG_PEEK, address, length) } >= 0 {
            return Ok(raw);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Throws the first datagram away, if one waits.
pub fn drain(socket: BorrowedFd<'_>) {
    // SAFETY: room for no data at all.
    unsafe { libc::recv(socket.as_raw_fd(), ptr::null_mut(), 0, libc::MSG_DONTWAIT) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    fn of(socket: impl AsFd) -> (Endpoints, Vec<String>) {
        let mut warnings = Vec::new();
        let found = Endpoints::of(socket.as_fd(), &mut |w| {
            warnings.push(String::from_utf8(w).unwrap())
        });
        (found, warnings)
    }

    #[test]
    fn a_stream_has_two_ends() {
        for place in ["127.0.0.1:0", "[::1]:0"] {
            let listener = TcpListener::bind(place).unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let (server, _) = listener.accept().unwrap();
            let (found, warnings) = of(&server);
            assert_eq!(found.client, Endpoint::Internet(client.local_addr().unwrap()));
            assert_eq!(found.server, Endpoint::Internet(listener.local_addr().unwrap()));
            assert!(!found.datagram && warnings.is_empty());
        }
    }

    #[test]
    fn a_mapped_address_is_shown_whole() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(of(&server).0.client.text(), b"::ffff:127.0.0.1");
    }

    #[test]
    fn a_datagram_tells_its_sender_and_stays() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"question", server.local_addr().unwrap()).unwrap();
        let (found, warnings) = of(&server);
        assert_eq!(found.client, Endpoint::Internet(client.local_addr().unwrap()));
        assert_eq!(found.server, Endpoint::Internet(server.local_addr().unwrap()));
        assert!(found.datagram && warnings.is_empty());

        let mut buffer = [0; 16];
        assert_eq!(server.recv(&mut buffer).unwrap(), 8);
        client.send_to(b"again", server.local_addr().unwrap()).unwrap();
        assert_eq!(server.peek(&mut buffer).unwrap(), 5);
        drain(server.as_fd());
        server.set_nonblocking(true).unwrap();
        assert_eq!(
            server.recv(&mut buffer).unwrap_err().kind(),
            io::ErrorKind::WouldBlock
        );
        drain(server.as_fd());
    }

    #[test]
    fn an_empty_datagram_has_a_sender_too() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.send_to(b"", server.local_addr().unwrap()).unwrap();
        assert_eq!(
            of(&server).0.client,
            Endpoint::Internet(client.local_addr().unwrap())
        );
    }

    #[test]
    fn a_connected_datagram_socket_needs_no_datagram() {
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        server.connect(client.local_addr().unwrap()).unwrap();
        let (found, _) = of(&server);
        assert_eq!(found.client, Endpoint::Internet(client.local_addr().unwrap()));
        assert!(!found.datagram);
    }

    #[test]
    fn a_local_socket_is_localhost() {
        let (one, _two) = UnixStream::pair().unwrap();
        let (found, warnings) = of(&one);
        assert_eq!((found.client, found.server), (Endpoint::Local, Endpoint::Local));
        assert_eq!(found.client.text(), b"localhost");
        assert_eq!(warnings, Vec::<String>::new());
    }

    #[test]
    fn what_has_no_client_says_so() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (found, warnings) = of(&listener);
        assert_eq!(found, Endpoints::UNKNOWN);
        assert_eq!(
            warnings,
            ["can't get client address: Transport endpoint is not connected"]
        );
        let (found, warnings) = of(std::fs::File::open("/dev/null").unwrap());
        assert_eq!(found.client.text(), UNKNOWN);
        assert_eq!(
            warnings,
            ["can't get client address: Socket operation on non-socket"]
        );
    }
}
