//! From patterns to the keys they are found under.

use std::collections::{HashMap, HashSet};

use super::candidates::{SPLIT, Shape, key_of_server};
use super::keys::{
    ALWAYS, ANY, ANY_SERVICE, ANY_USER, Found, HostShape, WANTS_NAME, WANTS_SERVER_ADDRESS,
    WANTS_SERVER_NAME, WANTS_USER, refined, user_key,
};
use super::lists::Entry;
use super::postings::{bucket, bucket_bits};
use crate::meaning::{Meaning, Strings};
use crate::room::{Room, copy, filled};
use crate::syntax::list::{is_except, tokens};
use crate::syntax::pattern::{ClientPattern, DaemonPattern, HostPattern, Service, StringPattern};

/// So many positions may stand under one key; more are split by daemon list and user.
const LONGEST_LIST: u32 = 8;
/// Longer daemon lists are not told apart.
const MOST_DAEMONS: usize = 16;

/// Collects host patterns in ascending order of position.
#[derive(Debug, Default)]
pub(crate) struct HostsBuilder {
    entries: Vec<Entry>,
    /// Those that are refined already.
    refined: Vec<Entry>,
    shape: HostShape,
    /// The last positions that are candidates for any host, and until the name is known: once is enough.
    last_any: u32,
    last_wanting: u32,
}

impl HostsBuilder {
    /// Adds a pattern, and what of its daemon list and user there is to know. Nothing where there is no memory for it;
    /// so it is with all here.
    pub(crate) fn add(
        &mut self,
        pattern: HostPattern<'_>,
        daemons: &[u64],
        user: Option<u32>,
        position: u32,
    ) -> Option<()> {
        let meaning = Meaning::of(pattern);
        let user = match meaning {
            // Trying it does more than to match, and comes first.
            Meaning::Netgroup(_) | Meaning::File(_) | Meaning::Brace(_) => None,
            Meaning::Nothing
            | Meaning::Everyone
            | Meaning::Addresses(_)
            | Meaning::Scoped(_)
            | Meaning::Text { .. }
            | Meaning::Known
            | Meaning::Local => user,
        };
        match self.shape.add(&meaning) {
            Found::Nowhere => {}
            Found::Under(key) => self.entries.put(Entry {
                key,
                position,
                user: user.unwrap_or(ANY_USER),
            })?,
            Found::Anywhere if user.is_none() && self.last_any == position => {}
            Found::Anywhere => {
                if user.is_none() {
                    self.last_any = position;
                }
                self.add_refined(ANY, daemons, user.unwrap_or(ANY_USER), position)?;
            }
        }
        if meaning.wants_name() && self.last_wanting != position {
            self.last_wanting = position;
            self.add_refined(WANTS_NAME, daemons, ANY_USER, position)?;
        }
        Some(())
    }

    /// Adds a position under a key that is always split.
    fn add_refined(&mut self, key: u64, daemons: &[u64], user: u32, position: u32) -> Option<()> {
        self.shape.has_any |= key == ANY && !daemons.is_empty();
        self.shape.wants_name |= key == WANTS_NAME;
        for daemon in daemons {
            self.push(refined(key, *daemon, user), position)?;
            if user != ANY_USER {
                self.push(refined(key, *daemon, WANTS_USER), position)?;
            }
        }
        Some(())
    }

    fn push(&mut self, key: u64, position: u32) -> Option<()> {
        self.refined.put(Entry {
            key,
            position,
            user: ANY_USER,
        })
    }

    /// All entries.
    pub(super) fn finish(mut self) -> Option<(Vec<Entry>, HostShape)> {
        self.entries.try_reserve(self.refined.len()).ok()?;
        self.entries.append(&mut self.refined);
        Some((self.entries, self.shape))
    }
}

/// What there is to know of a daemon list.
#[derive(Debug, Default)]
struct DaemonList {
    /// The keys its rules are under.
    keys: Vec<u64>,
    /// Its services: those that look the server's address up, its name, or do more than that.
    wants_address: Vec<u64>,
    wants_name: Vec<u64>,
    always: Vec<u64>,
}

/// Collects rules in the order of the table.
#[derive(Debug, Default)]
pub(super) struct RulesBuilder {
    hosts: HostsBuilder,
    shape: Shape,
    lists: Vec<DaemonList>,
    list_of: HashMap<Vec<u8>, u32>,
    last_text: Vec<u8>,
    last: u32,
    /// The daemon list of each rule.
    rules: Vec<u32>,
}

/// No daemon list: the line is no rule.
const NO_LIST: u32 = u32::MAX;

impl RulesBuilder {
    /// Makes room beforehand.
    pub(super) fn reserve(&mut self, rules: usize) -> Option<()> {
        self.hosts.entries.try_reserve(rules).ok()?;
        self.rules.try_reserve(rules).ok()
    }

    /// Adds the next rule by its lists; nothing, where the line must be looked at in any case.
    pub(super) fn add(&mut self, lists: Option<(&[u8], &[u8])>) -> Option<()> {
        let Some((daemons, clients)) = lists else {
            self.rules.put(NO_LIST)?;
            self.shape.has_always = true;
            return self.hosts.push(ALWAYS, self.rules.len() as u32);
        };
        let list = self.list(daemons)?;
        self.rules.put(list)?;
        // `as`: the table has less than 2³² bytes.
        let position = self.rules.len() as u32;
        let list = &self.lists[list as usize];
        for (services, key) in [
            (&list.wants_address, WANTS_SERVER_ADDRESS),
            (&list.wants_name, WANTS_SERVER_NAME),
            (&list.always, ANY),
        ] {
            self.hosts.add_refined(key, services, ANY_USER, position)?;
        }
        for token in tokens(clients).take_while(|t| !is_except(t)) {
            let client = ClientPattern::parse(token);
            let user = client
                .user
                .and_then(|user| user_key(Strings::of(StringPattern::parse(user))));
            self.shape.has_users |= user.is_some();
            self.hosts.add(client.host, &list.keys, user, position)?;
        }
        Some(())
    }

    fn list(&mut self, daemons: &[u8]) -> Option<u32> {
        // Neighbouring rules nearly always share their daemon list.
        if *self.last_text == *daemons && !self.lists.is_empty() {
            return Some(self.last);
        }
        self.last_text.clear();
        self.last_text.try_reserve(daemons.len()).ok()?;
        self.last_text.extend_from_slice(daemons);
        self.last = match self.list_of.get(daemons) {
            Some(list) => *list,
            None => {
                let list = self.new_list(daemons)?;
                self.lists.put(list)?;
                let at = self.lists.len() as u32 - 1;
                self.list_of.try_reserve(1).ok()?;
                self.list_of.insert(copy(daemons)?, at);
                at
            }
        };
        Some(self.last)
    }

    fn new_list(&mut self, daemons: &[u8]) -> Option<DaemonList> {
        let mut list = DaemonList::default();
        let mut is_excepted = false;
        for token in tokens(daemons) {
            if is_except(token) {
                is_excepted = true;
                continue;
            }
            let pattern = DaemonPattern::parse(token);
            let service = match pattern.service {
                // What stands behind EXCEPT is tried only for the daemons before, but those may be many.
                _ if is_excepted => ANY_SERVICE,
                Service::Port(_) => ANY_SERVICE,
                Service::Name(name) => match self.shape.services.add(Strings::of(name)) {
                    Found::Nowhere => continue,
                    Found::Under(key) => key,
                    Found::Anywhere => ANY_SERVICE,
                },
            };
            match pattern.host {
                Some(host) => self.add_server(&mut list, service, &Meaning::of(host), is_excepted)?,
                None if is_excepted => {}
                None => list.keys.put(service)?,
            }
        }
        if list.keys.len() > MOST_DAEMONS {
            list.keys = vec![ANY_SERVICE];
        }
        for keys in [
            &mut list.keys,
            &mut list.wants_address,
            &mut list.wants_name,
            &mut list.always,
        ] {
            keys.sort_unstable();
            keys.dedup();
            keys.shrink_to_fit();
        }
        Some(list)
    }

    fn add_server(
        &mut self,
        list: &mut DaemonList,
        service: u64,
        server: &Meaning<'_>,
        is_excepted: bool,
    ) -> Option<()> {
        self.shape.has_servers = true;
        if !is_excepted {
            match self.shape.servers.add(server) {
                Found::Nowhere => {}
                Found::Under(key) => list.keys.put(key_of_server(service, key))?,
                Found::Anywhere => list.keys.put(service)?,
            }
        }
        match server {
            Meaning::Nothing | Meaning::Everyone => {}
            Meaning::Addresses(_)
            | Meaning::Scoped(_)
            | Meaning::Text { .. }
            | Meaning::Known
            | Meaning::Local => {
                list.wants_address.put(service)?;
            }
            Meaning::Netgroup(_) | Meaning::File(_) | Meaning::Brace(_) => list.always.put(service)?,
        }
        if server.wants_name() {
            list.wants_name.put(service)?;
        }
        Some(())
    }

    /// All entries, long lists split, and the shape.
    pub(super) fn finish(mut self) -> Option<(Vec<Entry>, Shape)> {
        let long = long_lists(&self.hosts.entries)?;
        if !long.is_empty() {
            self.split(&long)?;
        }
        let (entries, hosts) = self.hosts.finish()?;
        self.shape.hosts = hosts;
        Some((entries, self.shape))
    }

    /// Puts the entries under these keys under refined ones.
    fn split(&mut self, long: &HashSet<u64>) -> Option<()> {
        let refined_entries = &mut self.hosts.refined;
        let mut has_room = refined_entries.try_reserve(long.len()).is_ok();
        if !has_room {
            return None;
        }
        refined_entries.extend(long.iter().map(|key| Entry {
            key: *key,
            position: SPLIT,
            user: ANY_USER,
        }));
        self.hosts.entries.retain(|entry| {
            let is_kept = !long.contains(&entry.key);
            if !is_kept {
                let list = self.rules[entry.position as usize - 1];
                for daemon in &self.lists[list as usize].keys {
                    let users = [entry.user, WANTS_USER];
                    let users = &users[..1 + usize::from(entry.user != ANY_USER)];
                    has_room &= refined_entries.try_reserve(users.len()).is_ok();
                    if !has_room {
                        return false;
                    }
                    refined_entries.extend(users.iter().map(|user| Entry {
                        key: refined(entry.key, *daemon, *user),
                        ..*entry
                    }));
                }
            }
            is_kept
        });
        has_room.then_some(())
    }
}

/// The keys that more than a few positions stand under.
fn long_lists(entries: &[Entry]) -> Option<HashSet<u64>> {
    let bits = bucket_bits(entries.len());
    let mut counts = filled(1 << bits, 0u32)?;
    for entry in entries {
        counts[bucket(entry.key, bits)] += 1;
    }
    let mut by_key: HashMap<u64, u32> = HashMap::new();
    for entry in entries {
        if counts[bucket(entry.key, bits)] > LONGEST_LIST {
            by_key.try_reserve(1).ok()?;
            *by_key.entry(entry.key).or_default() += 1;
        }
    }
    by_key.retain(|_, count| *count > LONGEST_LIST);
    let mut long = HashSet::new();
    long.try_reserve(by_key.len()).ok()?;
    long.extend(by_key.into_keys());
    Some(long)
}
