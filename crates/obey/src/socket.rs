//! Sockets that wait for clients, from `/proc/net`: TCP sockets that listen, and UDP sockets that hear everybody.

use std::fs::File;
use std::io::{self, BufReader, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP, and what is built on it.
    Tcp,
    /// UDP
    Udp,
}

impl Protocol {
    /// In lower case, as inetd.conf(5) has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// A socket that waits for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// TCP or UDP.
    pub protocol: Protocol,
    /// Where clients come to.
    pub address: SocketAddr,
    /// Its number, by which `/proc/PID/fd` has it; 0 where no process holds it.
    pub inode: u64,
    /// The user who made it.
    pub user: u32,
}

/// The sockets of the network that `net` is of: `/proc/net`, or `/proc/PID/net`.
///
/// # Errors
/// Where that cannot be read. A protocol that the kernel does not know has no sockets.
pub fn listening(net: &Path) -> io::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for (name, protocol) in [
        ("tcp", Protocol::Tcp),
        ("tcp6", Protocol::Tcp),
        ("udp", Protocol::Udp),
        ("udp6", Protocol::Udp),
    ] {
        match File::open(net.join(name)) {
            Ok(file) => table(BufReader::new(file), protocol, &mut sockets)?,
            Err(error) if error.kind() == ErrorKind::NotFound && net.is_dir() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sockets)
}

fn table(mut file: impl io::BufRead, protocol: Protocol, sockets: &mut Vec<Socket>) -> io::Result<()> {
    let mut line = String::new();
    file.read_line(&mut line)?;
    loop {
        line.clear();
        if file.read_line(&mut line)? == 0 {
            return Ok(());
        }
        match row(&line, protocol) {
            Some(Row::Waiting(socket)) => sockets.push(socket),
            // The kernel lists those that listen first, and there may be a million others.
            Some(Row::Other) if protocol == Protocol::Tcp => return Ok(()),
            _ => {}
        }
    }
}

enum Row {
    Waiting(Socket),
    Other,
}

/// `sl local remote state queues timer retransmits uid timeout inode …`
fn row(line: &str, protocol: Protocol) -> Option<Row> {
    const LISTEN: &str = "0A";
    const UNCONNECTED: &str = "07";
    let mut words = line.split_ascii_whitespace();
    let (local, remote, state) = (words.nth(1)?, words.next()?, words.next()?);
    let user = words.nth(3)?.parse().ok()?;
    let inode = words.nth(1)?.parse().ok()?;
    let is_waiting = match protocol {
        Protocol::Tcp => state == LISTEN,
        Protocol::Udp => state == UNCONNECTED && remote.ends_with(":0000"),
    };
    if !is_waiting {
        return Some(Row::Other);
    }
    Some(Row::Waiting(Socket {
        protocol,
        address: endpoint(local)?,
        inode,
        user,
    }))
}

/// An address in hexadecimal, each word in the machine's order, and a port.
fn endpoint(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let word = |at: usize| {
        u32::from_str_radix(address.get(at * 8..at * 8 + 8)?, 16)
            .ok()
            .map(u32::to_ne_bytes)
    };
    let address = match address.len() {
        8 => IpAddr::from(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?];
            let bytes: [u8; 16] = words.concat().try_into().ok()?;
            IpAddr::from(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address, u16::from_str_radix(port, 16).ok()?))
}

/// The port of a service by its name or number, as services(5) has it.
pub fn service_port(name: &str, protocol: &str) -> Option<u16> {
    if let Ok(port) = name.parse() {
        return Some(port);
    }
    let text = std::fs::read("/etc/services").ok()?;
    let text = String::from_utf8_lossy(&text);
    text.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_ascii_whitespace();
        let (official, port) = (words.next()?, words.next()?);
        let (port, of) = port.split_once('/')?;
        let is_it = of == protocol && (official == name || words.any(|alias| alias == name));
        is_it.then(|| port.parse().ok()).flatten()
    })
}

/// Networks that this host is directly on: those of its addresses, without loopback.
pub fn local_networks(net: &Path) -> Vec<(IpAddr, u8)> {
    let mut networks: Vec<(IpAddr, u8)> = Vec::new();
    // Iface Destination Gateway Flags RefCnt Use Metric Mask …
    for line in std::fs::read_to_string(net.join("route"))
        .unwrap_or_default()
        .lines()
        .skip(1)
    {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, destination, gateway, _, _, _, _, mask, ..] = words[..] else {
            continue;
        };
        let number = |text| {
            u32::from_str_radix(text, 16)
                .map(u32::to_ne_bytes)
                .map(u32::from_be_bytes)
        };
        if let (Ok(destination), Ok(0), Ok(mask)) = (number(destination), number(gateway), number(mask))
            && interface != "lo"
            && mask != 0
        {
            networks.push((Ipv4Addr::from(destination).into(), mask.leading_ones() as u8));
        }
    }
    // address, interface's number, prefix length, scope, flags, interface
    for line in std::fs::read_to_string(net.join("if_inet6"))
        .unwrap_or_default()
        .lines()
    {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        let [address, _, length, _, _, interface] = words[..] else {
            continue;
        };
        if let (Ok(address), Ok(length)) = (u128::from_str_radix(address, 16), u8::from_str_radix(length, 16))
            && interface != "lo"
            && (1..128).contains(&length)
        {
            let network = address & (u128::MAX << (128 - u32::from(length)));
            networks.push((Ipv6Addr::from_bits(network).into(), length));
        }
    }
    networks.sort_unstable();
    networks.dedup();
    networks
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn sockets_of_this_program() {
        let four = TcpListener::bind("127.0.0.1:0").unwrap();
        let six = TcpListener::bind("[::1]:0").unwrap();
        let datagrams = UdpSocket::bind("127.0.0.1:0").unwrap();
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(datagrams.local_addr().unwrap()).unwrap();
        let found = listening(Path::new("/proc/self/net")).unwrap();
        let has = |protocol, address| {
            found
                .iter()
                .any(|s| s.protocol == protocol && s.address == address)
        };
        assert!(has(Protocol::Tcp, four.local_addr().unwrap()));
        assert!(has(Protocol::Tcp, six.local_addr().unwrap()));
        assert!(has(Protocol::Udp, datagrams.local_addr().unwrap()));
        assert!(!has(Protocol::Udp, connected.local_addr().unwrap()));
        let connection = std::net::TcpStream::connect(four.local_addr().unwrap()).unwrap();
        let found = listening(Path::new("/proc/self/net")).unwrap();
        assert!(
            !found
                .iter()
                .any(|s| s.protocol == Protocol::Tcp && s.address == connection.local_addr().unwrap())
        );
    }

    #[test]
    fn a_damaged_line_is_none() {
        for line in [
            "",
            "0:",
            "0: 0100007F:1F90 00000000:0000",
            "0: 0100007F1F90 00000000:0000 0A 0:0 0:0 0 x 0 1",
        ] {
            assert!(row(line, Protocol::Tcp).is_none(), "{line}");
        }
    }

    #[test]
    fn services_have_ports() {
        assert_eq!(service_port("4711", "tcp"), Some(4711));
        assert_eq!(service_port("ssh", "tcp"), Some(22));
        assert_eq!(service_port("no-such-service", "tcp"), None);
    }

    #[test]
    fn networks_of_an_interface() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: String| std::fs::write(directory.path().join(name), text).unwrap();
        let hex = |address: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(address));
        let route = |interface: &str, to, by, mask| {
            format!(
                "{interface} {} {} 0001 0 0 0 {} 0 0 0\n",
                hex(to),
                hex(by),
                hex(mask)
            )
        };
        let routes = [
            "Iface …\n".to_owned(),
            route("eth0", [0; 4], [192, 0, 2, 1], [0; 4]),
            route("eth0", [192, 0, 2, 0], [0; 4], [255, 255, 255, 0]),
            route("eth1", [10, 0, 0, 0], [192, 0, 2, 9], [255, 0, 0, 0]),
        ];
        put("route", routes.concat());
        let six = "20010db8000000000000000000000005 02 40 00 80 eth0\n00000000000000000000000000000001 01 80 10 80 lo\n";
        put("if_inet6", six.to_owned());
        let expected = [("192.0.2.0", 24), ("2001:db8::", 64)];
        assert_eq!(
            local_networks(directory.path()),
            expected.map(|(address, length)| (address.parse().unwrap(), length))
        );
    }
}
