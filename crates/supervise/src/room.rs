//! How many connections the guard holds that are undecided, or that nobody has come for yet, and whose they are; or how many
//! commands have one.
//!
//! No listener, client or network takes all of it. One that has its share waits (a listener, in its backlog) or is
//! turned away (a client, which would keep others waiting in the same backlog).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Where a listener has less room than this, its clients have no shares of it: they wait.
const SHARED_FROM: usize = 64;

/// Whose connections are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Holder {
    Listener(u64),
    /// An IPv4 address, or an IPv6 network of 64 bits, which is what one client commonly has.
    Client(IpAddr),
    /// A network of 24 or 48 bits.
    Network(IpAddr),
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    of: HashMap<Holder, usize>,
}

/// The guard's room.
#[derive(Debug, Clone)]
pub(crate) struct Room {
    most: usize,
    held: Arc<Mutex<Held>>,
}

/// A place in the room, which is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    room: Room,
    holders: [Option<Holder>; 3],
}

impl Room {
    /// Room for so many connections.
    pub(crate) fn new(most: usize) -> Self {
        Room {
            most,
            held: Arc::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many connections are held.
    pub(crate) fn held(&self) -> usize {
        self.lock().all
    }

    /// Is there none left?
    pub(crate) fn is_full(&self) -> bool {
        self.held() >= self.most
    }

    /// What one listener may have: the last quarter is for others.
    fn of_listener(&self) -> usize {
        self.most - self.most / 4
    }

    /// May one more connection of this listener be held?
    pub(crate) fn is_open_to(&self, listener: u64) -> bool {
        let held = self.lock();
        held.all < self.most && held.count(Holder::Listener(listener)) < self.of_listener()
    }

    /// Is there a place for one more of this client's?
    pub(crate) fn has_place_for(&self, client: IpAddr) -> bool {
        !self.is_full() && self.is_open_to_client(client)
    }

    /// May one more connection of this client be held? One client may have half of what a listener may, and one
    /// network three quarters.
    pub(crate) fn is_open_to_client(&self, client: IpAddr) -> bool {
        let most = self.of_listener();
        if most < SHARED_FROM {
            return true;
        }
        let held = self.lock();
        held.count(Holder::Client(masked(client, 32, 64))) < most / 2
            && held.count(Holder::Network(masked(client, 24, 48))) < most - most / 4
    }

    /// Takes a place, whether there is one or not.
    pub(crate) fn take(&self, listener: u64, client: Option<IpAddr>) -> Box<Permit> {
        let holders = [
            Some(Holder::Listener(listener)),
            client.map(|client| Holder::Client(masked(client, 32, 64))),
            client.map(|client| Holder::Network(masked(client, 24, 48))),
        ];
        let mut held = self.lock();
        held.all += 1;
        for holder in holders.into_iter().flatten() {
            *held.of.entry(holder).or_default() += 1;
        }
        Box::new(Permit {
            room: self.clone(),
            holders,
        })
    }
}

impl Held {
    fn count(&self, holder: Holder) -> usize {
        self.of.get(&holder).copied().unwrap_or_default()
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut held = self.room.lock();
        held.all -= 1;
        for holder in self.holders.into_iter().flatten() {
            if let Some(count) = held.of.get_mut(&holder) {
                *count -= 1;
                if *count == 0 {
                    held.of.remove(&holder);
                }
            }
        }
    }
}

/// The network of an address, as so many bits of IPv4 or IPv6.
pub(crate) fn masked(address: IpAddr, v4: u32, v6: u32) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(ip) => Ipv4Addr::from_bits(ip.to_bits() & (u32::MAX << (32 - v4))).into(),
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - v6))).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn everybody_has_a_share() {
        let room = Room::new(1024);
        let mut taken: Vec<_> = (0..384).map(|_| room.take(1, Some(ip("192.0.2.1")))).collect();
        assert!(!room.is_open_to_client(ip("192.0.2.1")));
        assert!(!room.is_open_to_client(ip("::ffff:192.0.2.1")));
        assert!(room.is_open_to_client(ip("192.0.2.2")));
        taken.extend((0..192).map(|_| room.take(1, Some(ip("192.0.2.2")))));
        assert!(!room.is_open_to_client(ip("192.0.2.3")), "the network's");
        assert!(room.is_open_to_client(ip("198.51.100.1")));
        taken.extend((0..192).map(|_| room.take(1, Some(ip("2001:db8::1")))));
        assert!(!room.is_open_to(1) && room.is_open_to(2), "the listener's");
        taken.extend((0..256).map(|_| room.take(2, None)));
        assert!(room.is_full() && !room.is_open_to(2));
        taken.clear();
        assert_eq!((room.held(), room.lock().of.len()), (0, 0));
    }

    #[test]
    fn clients_of_ipv6_are_networks() {
        let room = Room::new(1024);
        let _taken: Vec<_> = (0..384)
            .map(|n| room.take(1, Some(ip(&format!("2001:db8::{n:x}")))))
            .collect();
        assert!(!room.is_open_to_client(ip("2001:db8::ffff:0:1")));
        assert!(room.is_open_to_client(ip("2001:db8:0:1::1")));
    }

    #[test]
    fn where_there_is_little_room_clients_wait() {
        let room = Room::new(16);
        let _taken: Vec<_> = (0..11).map(|_| room.take(1, Some(ip("192.0.2.1")))).collect();
        assert!(room.is_open_to_client(ip("192.0.2.1")) && room.is_open_to(1));
    }
}
