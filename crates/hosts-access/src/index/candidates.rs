//! Which positions could match what is known of a request, in order.
//!
//! What is not known yet may become known when a candidate is tried, and then changes what can still match. Until
//! then, patterns that would look it up are candidates too, since a look-up shows in log lines and in `%c`.

use smallvec::SmallVec;

use super::keys::{
    ALWAYS, ANY, ANY_SERVICE, ANY_USER, HostShape, TextShape, WANTS_NAME, WANTS_SERVER_ADDRESS,
    WANTS_SERVER_NAME, WANTS_USER, key, one_user_key, refined,
};
use super::lists::{Lists, Merged, Positions};
use crate::address::reduce_mapped;
use crate::request::{Pending, Request, Side};
use crate::work;

/// The position that stands under a key whose positions are found by daemon list and user too.
pub(crate) const SPLIT: u32 = 0;

/// What kinds of keys an index has, so that no others are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Of clients, or of whichever end the patterns are for.
    pub(crate) hosts: HostShape,
    /// Of daemons.
    pub(crate) services: TextShape,
    /// Of servers, behind an `@`.
    pub(crate) servers: HostShape,
    /// Are there patterns for servers?
    pub(crate) has_servers: bool,
    /// Are there users, before an `@`?
    pub(crate) has_users: bool,
    /// Are there positions that are candidates whoever asks?
    pub(crate) has_always: bool,
}

/// What a list of candidates waits for: it is of no use once that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wants {
    Nothing,
    Name,
    User,
    ServerAddress,
    ServerName,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Candidates<'i, L: Lists + 'i> {
    lists: &'i L,
    shape: &'i Shape,
    side: Side,
    merged: Merged<L::Positions<'i>, Wants>,
    /// The keys of daemon tokens whose service matches, once they are needed; then of those that name a server which
    /// matches too.
    daemons: SmallVec<[u64; 4]>,
    services: usize,
    /// The split keys of hosts that are found so far.
    split: SmallVec<[u64; 6]>,
    user: Option<u32>,
    is_started: bool,
    name_is_known: bool,
    server_address_is_known: bool,
    server_name_is_known: bool,
    next: u32,
}

impl<'i, L: Lists> Candidates<'i, L> {
    /// Candidates among patterns for one end of the connection, from a position on.
    #[inline]
    pub(crate) fn new(lists: &'i L, shape: &'i Shape, side: Side, from: u32) -> Self {
        Candidates {
            lists,
            shape,
            side,
            merged: Merged::new(),
            daemons: SmallVec::new(),
            services: 0,
            split: SmallVec::new(),
            user: None,
            is_started: false,
            name_is_known: false,
            server_address_is_known: false,
            server_name_is_known: false,
            next: from.max(SPLIT + 1),
        }
    }

    /// The next position that could match; nothing at the end.
    #[inline]
    pub(crate) fn next(&mut self, request: &mut Request) -> Result<Option<u32>, Pending> {
        if !self.is_started {
            // No pattern can be held against a host without it.
            request.parsed_address(self.side)?;
            self.start(request);
        }
        self.learn(request);
        loop {
            let Some(position) = self.merged.pop() else {
                return Ok(None);
            };
            if position >= self.next {
                self.next = position + 1;
                return Ok(Some(position));
            }
        }
    }

    fn start(&mut self, request: &Request) {
        self.is_started = true;
        let shape = self.shape;
        if shape.has_always {
            self.find(ALWAYS, Wants::Nothing);
        }
        if shape.has_servers {
            self.find_wanting_servers(request);
        }
        if shape.hosts.has_any {
            self.open_split(ANY, request);
        }
        let name = request.looked_up_name(self.side);
        self.name_is_known = name.is_some();
        if !self.name_is_known && shape.hosts.wants_name {
            self.learn_daemon(request);
            for at in 0..self.services {
                self.find_wanting(self.daemons[at]);
            }
        }
        if let Some(address) = request.looked_up(self.side) {
            shape
                .hosts
                .each_address_key(address, &mut |key| self.open(key, request));
        }
        if let Some(name) = name {
            shape
                .hosts
                .each_name_key(name, &mut |key| self.open(key, request));
        }
    }

    /// Finds out under which keys the daemon is. Most decisions need not know.
    fn learn_daemon(&mut self, request: &Request) {
        if self.services > 0 {
            return;
        }
        let daemons = &mut self.daemons;
        daemons.push(ANY_SERVICE);
        self.shape
            .services
            .each_key(reduce_mapped(request.daemon()), false, &mut |service| {
                daemons.push(service)
            });
        self.services = self.daemons.len();
    }

    fn find_wanting_servers(&mut self, request: &Request) {
        self.learn_daemon(request);
        for at in 0..self.services {
            let service = self.daemons[at];
            self.find(
                refined(WANTS_SERVER_ADDRESS, service, ANY_USER),
                Wants::ServerAddress,
            );
            self.find(refined(WANTS_SERVER_NAME, service, ANY_USER), Wants::ServerName);
        }
    }

    /// Takes in what was found out since.
    #[inline]
    fn learn(&mut self, request: &Request) {
        let shape = self.shape;
        if !self.name_is_known
            && let Some(name) = request.looked_up_name(self.side)
        {
            self.name_is_known = true;
            self.merged.remove(&Wants::Name);
            shape
                .hosts
                .each_name_key(name, &mut |key| self.open(key, request));
        }
        if shape.has_users
            && self.user.is_none()
            && let Some(user) = request.looked_up_user()
        {
            self.learn_user(user);
        }
        if shape.has_servers {
            self.learn_server(request);
        }
    }

    fn learn_user(&mut self, user: &[u8]) {
        let user = one_user_key(reduce_mapped(user));
        self.user = Some(user);
        self.merged.remove(&Wants::User);
        for host in 0..self.split.len() {
            for daemon in 0..self.daemons.len() {
                self.find(
                    refined(self.split[host], self.daemons[daemon], user),
                    Wants::Nothing,
                );
            }
        }
    }

    fn learn_server(&mut self, request: &Request) {
        let shape = self.shape;
        if !self.server_address_is_known
            && let Some(address) = request.looked_up(Side::Server)
        {
            self.server_address_is_known = true;
            self.merged.remove(&Wants::ServerAddress);
            shape
                .servers
                .each_address_key(address, &mut |server| self.open_server(server));
        }
        if !self.server_name_is_known
            && let Some(name) = request.looked_up_name(Side::Server)
        {
            self.server_name_is_known = true;
            self.merged.remove(&Wants::ServerName);
            shape
                .servers
                .each_name_key(name, &mut |server| self.open_server(server));
        }
    }

    /// Adds the positions under the key of a host.
    fn open(&mut self, key: u64, request: &Request) {
        work::add(1);
        let Some(positions) = self.lists.find(key, SPLIT) else {
            return;
        };
        if positions.first() != SPLIT && positions.first() >= self.next {
            self.merged.add(positions, Wants::Nothing);
            return;
        }
        if positions.first() == SPLIT {
            self.open_split(key, request);
        }
        self.find(key, Wants::Nothing);
    }

    fn open_split(&mut self, host: u64, request: &Request) {
        self.learn_daemon(request);
        self.split.push(host);
        for at in 0..self.daemons.len() {
            self.open_refined(host, self.daemons[at]);
        }
    }

    /// Adds the positions under the keys of services whose server has this key.
    fn open_server(&mut self, server: u64) {
        for service in 0..self.services {
            let daemon = key_of_server(self.daemons[service], server);
            self.daemons.push(daemon);
            for host in 0..self.split.len() {
                self.open_refined(self.split[host], daemon);
            }
            self.find_wanting(daemon);
        }
    }

    /// Adds the positions that would look the name up.
    fn find_wanting(&mut self, daemon: u64) {
        if !self.name_is_known {
            self.find(refined(WANTS_NAME, daemon, ANY_USER), Wants::Name);
        }
    }

    fn open_refined(&mut self, host: u64, daemon: u64) {
        self.find(refined(host, daemon, ANY_USER), Wants::Nothing);
        if self.shape.has_users {
            match self.user {
                Some(user) => self.find(refined(host, daemon, user), Wants::Nothing),
                None => self.find(refined(host, daemon, WANTS_USER), Wants::User),
            }
        }
    }

    fn find(&mut self, key: u64, wants: Wants) {
        work::add(1);
        if let Some(positions) = self.lists.find(key, self.next) {
            self.merged.add(positions, wants);
        }
    }
}

/// The key of a daemon token: of its service, and of the server it names.
pub(crate) fn key_of_server(service: u64, server: u64) -> u64 {
    key(9, service ^ server.rotate_left(17))
}
