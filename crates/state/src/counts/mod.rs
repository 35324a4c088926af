//! How many connections there are to a port, as the kernel counts them (hosts_options(5), `max`).
//!
//! Those are counted that a program has accepted and that are up, or that only the client has closed. The kernel is
//! asked once for a port in [`FRESH`]; between two answers, connections that are decided are added to the last one.
//! An answer may be too high by those that have ended since. It is never too low: before each decision a number that
//! all processes of this user share is counted up, and who finds that others have decided since he asked the kernel
//! adds these, too, or asks again if that would make it too many.

mod sock_diag;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::limits::Memory;
use crate::network::Network;
use crate::{Answer, Unknown};

/// How old an answer of the kernel may be.
pub const FRESH: Duration = Duration::from_millis(100);

/// One end of a connection; addresses of IPv4 as IPv6 has them.
type End = (u128, u16);

fn end(address: SocketAddr) -> End {
    (bits(address.ip()), address.port())
}

fn bits(address: IpAddr) -> u128 {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// The connections to a port at one time.
#[derive(Debug)]
struct Dump {
    made: Instant,
    /// In order.
    clients: Vec<End>,
    /// Connections that this process has decided since and that are not among the clients.
    since: Vec<End>,
    /// Decisions of all processes before the next one, if nobody but this process decides.
    expected: u64,
}

impl Dump {
    fn holds(&self, client: End) -> bool {
        self.clients.binary_search(&client).is_ok() || self.since.contains(&client)
    }

    /// How many of its connections come from a source, or in all.
    fn count(&self, source: Option<Network>) -> usize {
        let Some(source) = source else {
            return self.clients.len() + self.since.len();
        };
        let (first, length) = source.raw();
        let last = first | u128::MAX.checked_shr(length.into()).unwrap_or(0);
        let from = self.clients.partition_point(|(address, _)| *address < first);
        let to = self.clients.partition_point(|(address, _)| *address <= last);
        // A wide network of IPv6 spans the addresses of IPv4, and does not hold them.
        let is_in = |(address, _): &&End| source.contains(Ipv6Addr::from_bits(*address).into());
        let among = match source.is_v4() || length > 96 {
            true => to - from,
            false => self.clients[from..to].iter().filter(is_in).count(),
        };
        among + self.since.iter().filter(is_in).count()
    }
}

/// Counts connections, for one process.
#[derive(Debug, Default)]
pub struct Counts {
    dumps: Mutex<BTreeMap<u16, Dump>>,
}

impl Counts {
    /// Nothing is counted yet.
    pub const fn new() -> Self {
        Counts {
            dumps: Mutex::new(BTreeMap::new()),
        }
    }

    /// How many connections to this server port come from a source, or in all, the client's own included. The answer
    /// is exact, but for those that have just ended, if it is over `max`; otherwise it may be too high.
    pub fn connections(
        &self,
        memory: Option<&Memory>,
        port: u16,
        client: SocketAddr,
        source: Option<Network>,
        max: u32,
    ) -> Answer<u32> {
        let own = end(client);
        let decided = memory.map(|memory| memory.count_decision(port));
        if let Ok(mut dumps) = self.dumps.try_lock() {
            if let Some(decided) = decided
                && let Some(dump) = dumps.get_mut(&port)
                && dump.made.elapsed() < FRESH
            {
                if !dump.holds(own) {
                    dump.since.push(own);
                }
                let known = dump.count(source);
                // Of two threads the one that counted first may come here last, or the memory be a new one.
                let all = (known as u64).checked_add(decided.wrapping_sub(dump.expected));
                if known as u64 > u64::from(max) {
                    dump.expected += 1;
                    return Ok(to_u32(known));
                }
                if let Some(all) = all.filter(|all| *all <= u64::from(max)) {
                    dump.expected += 1;
                    return Ok(all as u32);
                }
            }
            let dump = self.ask(port, own, decided)?;
            let count = dump.count(source);
            dumps.insert(port, dump);
            return Ok(to_u32(count));
        }
        Ok(to_u32(self.ask(port, own, decided)?.count(source)))
    }

    /// Asks the kernel.
    fn ask(&self, port: u16, own: End, decided: Option<u64>) -> Answer<Dump> {
        let made = Instant::now();
        let mut clients = sock_diag::clients(port).map_err(|error| {
            Unknown::new(format!(
                "the kernel does not tell connections: {}",
                crate::reason(&error)
            ))
        })?;
        clients.sort_unstable();
        let mut dump = Dump {
            made,
            clients,
            since: Vec::new(),
            expected: decided.map_or(0, |decided| decided + 1),
        };
        if !dump.holds(own) {
            dump.since.push(own);
        }
        Ok(dump)
    }
}

fn to_u32(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    /// A port, and so many clients of it whose connections are accepted.
    fn connected(many: usize) -> (TcpListener, Vec<(TcpStream, TcpStream)>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let pairs = (0..many).map(|_| connect(&listener)).collect();
        (listener, pairs)
    }

    fn connect(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        (client, listener.accept().unwrap().0)
    }

    fn count(
        counts: &Counts,
        memory: Option<&Memory>,
        pair: &(TcpStream, TcpStream),
        source: Option<&str>,
        max: u32,
    ) -> u32 {
        let port = pair.1.local_addr().unwrap().port();
        let source = source.map(|source| source.parse().unwrap());
        let client = pair.1.peer_addr().unwrap();
        counts.connections(memory, port, client, source, max).unwrap()
    }

    #[test]
    fn accepted_connections_are_counted_until_they_end() {
        let (listener, mut pairs) = connected(5);
        // One that nobody has accepted.
        let _waiting = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let own = pairs.pop().unwrap();
        for (source, expected) in [
            (None, 5),
            (Some("127.0.0.1"), 5),
            (Some("127.0.0.0/8"), 5),
            (Some("10.0.0.0/8"), 0),
            (Some("::/0"), 0),
        ] {
            assert_eq!(
                count(&Counts::default(), None, &own, source, 9),
                expected,
                "{source:?}"
            );
        }
        // The client has closed, the server not: it still is one.
        let (client, server) = pairs.pop().unwrap();
        drop(client);
        assert_eq!(count(&Counts::default(), None, &own, None, 9), 5);
        drop(server);
        assert_eq!(count(&Counts::default(), None, &own, None, 9), 4);
    }

    #[test]
    fn addresses_of_ipv4_on_a_socket_of_ipv6() {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let own = (client, listener.accept().unwrap().0);
        let v6 = TcpStream::connect(("::1", port)).unwrap();
        let _v6 = (v6, listener.accept().unwrap().0);
        assert_eq!(count(&Counts::default(), None, &own, Some("127.0.0.1"), 9), 1);
        assert_eq!(count(&Counts::default(), None, &own, Some("::1"), 9), 1);
        assert_eq!(count(&Counts::default(), None, &own, None, 9), 2);
    }

    #[test]
    fn never_more_than_so_many_are_granted_whoever_asks() {
        const MAX: u32 = 7;
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::open(directory.path(), 64).unwrap();
        let (listener, _) = connected(0);
        // Three processes that decide by turns, for connections that come one by one.
        let processes = [Counts::default(), Counts::default(), Counts::default()];
        let mut granted = Vec::new();
        for n in 0..60 {
            let pair = connect(&listener);
            let counts = &processes[n % 3];
            if count(counts, Some(&memory), &pair, Some("127.0.0.1"), MAX) <= MAX {
                granted.push(pair);
            }
            assert!(granted.len() <= MAX as usize);
        }
        assert_eq!(granted.len(), MAX as usize, "and as many as that");
    }

    #[test]
    fn decisions_that_come_in_another_order_than_they_were_counted_in() {
        let directories = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [memory, behind] = directories
            .each_ref()
            .map(|at| Memory::open(at.path(), 64).unwrap());
        let (_listener, pairs) = connected(1);
        let counts = Counts::default();
        for memory in [&memory, &behind] {
            assert_eq!(count(&counts, Some(memory), &pairs[0], None, 4), 1);
        }
    }

    #[test]
    fn connections_accepted_at_once_are_not_counted_twice() {
        let directory = tempfile::tempdir().unwrap();
        let memory = Memory::open(directory.path(), 64).unwrap();
        let (_listener, pairs) = connected(4);
        let counts = Counts::default();
        for pair in &pairs {
            assert_eq!(count(&counts, Some(&memory), pair, Some("127.0.0.1"), 4), 4);
        }
        let one = Counts::default();
        assert_eq!(count(&one, Some(&memory), &pairs[0], Some("127.0.0.1"), 3), 4);
    }
}
