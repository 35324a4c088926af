//! All of it together, for one process, as the configuration has it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use crate::bans::{self, Ban, Found, List, Queue};
use crate::clock::{Clock, WallTime};
use crate::config::Config;
use crate::counts::Counts;
use crate::geo::{Database, Located};
use crate::interfaces::Interfaces;
use crate::lazy::Lazy;
use crate::limits::{self, Memory, Rate, Taken};
use crate::names::{Family, Names, Resolved};
use crate::network::Network;
use crate::{Answer, config, stamp};

/// What decisions are told, and what they leave behind. Each part is opened when it is first asked for, so that a
/// process whose rules ask nothing pays nothing.
///
/// ```
/// use state::State;
/// let state = State::new(false);
/// // Nobody is banned where there is no list; a list that cannot be read is an error with its cause.
/// let client = "192.0.2.7".parse().unwrap();
/// match state.banned(client) {
///     Ok(None) => println!("not banned"),
///     Ok(Some(found)) => println!("{} is banned until {}", found.network, found.expiry),
///     Err(unknown) => println!("not known: {unknown}"),
/// }
/// ```
#[derive(Debug)]
pub struct State {
    stays: bool,
    config: Lazy<Config>,
    countries: Lazy<Answer<Database>>,
    systems: Lazy<Answer<Database>>,
    names: Lazy<Answer<Names>>,
    list: Lazy<Answer<List>>,
    queue: Lazy<Answer<Queue>>,
    memory: Lazy<Answer<Memory>>,
    counts: Counts,
    interfaces: Interfaces,
    clock: Clock,
}

impl State {
    /// For a process that decides once, or one that `stays` and keeps what it has read.
    pub const fn new(stays: bool) -> Self {
        State {
            stays,
            config: Lazy::new(),
            countries: Lazy::new(),
            systems: Lazy::new(),
            names: Lazy::new(),
            list: Lazy::new(),
            queue: Lazy::new(),
            memory: Lazy::new(),
            counts: Counts::new(),
            interfaces: Interfaces::new(),
            clock: Clock::new(),
        }
    }

    /// By this configuration, not the host's.
    pub fn with(config: Config, stays: bool) -> Self {
        let state = State::new(stays);
        state.config.get_or(|| config);
        state
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        self.config.get_or(|| Config::read(Path::new(config::PATH)))
    }

    /// The database of countries.
    pub fn countries(&self) -> Answer<&Database> {
        let open = || {
            let geo = self.config().geo.clone()?;
            Ok(Database::of_countries(geo.country.as_deref()))
        };
        self.countries.get_or(open).as_ref().map_err(Clone::clone)
    }

    /// The database of autonomous systems.
    pub fn systems(&self) -> Answer<&Database> {
        let open = || {
            let geo = self.config().geo.clone()?;
            Ok(Database::of_systems(geo.asn.as_deref()))
        };
        self.systems.get_or(open).as_ref().map_err(Clone::clone)
    }

    /// The country and continent of an address; `None` where the database does not have it, and where there is none
    /// and the configuration says that this means no.
    pub fn country(&self, address: IpAddr) -> Answer<Option<Located>> {
        self.located(
            self.countries()
                .and_then(|database| database.locate(address, self.stays)),
        )
    }

    /// The autonomous system of an address, as [`country`](Self::country).
    pub fn system(&self, address: IpAddr) -> Answer<Option<Located>> {
        self.located(
            self.systems()
                .and_then(|database| database.locate(address, self.stays)),
        )
    }

    fn located(&self, answer: Answer<Option<Located>>) -> Answer<Option<Located>> {
        match &self.config().geo {
            Ok(geo) if geo.missing_is_no => Ok(answer.unwrap_or(None)),
            _ => answer,
        }
    }

    fn names(&self) -> Answer<&Names> {
        let open = || Ok(Names::new(self.config().dns.clone()?));
        self.names.get_or(open).as_ref().map_err(Clone::clone)
    }

    /// The addresses a name has now, of the family of a client's address.
    pub fn addresses(&self, name: &str, family: Family) -> Answer<Resolved> {
        self.names()?.addresses(name, family)
    }

    /// What a list in the DNS has on an address.
    pub fn listed(&self, zone: &str, address: IpAddr) -> Answer<Vec<Ipv4Addr>> {
        self.names()?.listed(zone, address)
    }

    /// This host's interfaces.
    pub fn interfaces(&self) -> &Interfaces {
        &self.interfaces
    }

    /// What the clock shows now, in a zone or in the host's own.
    pub fn clock(&self, zone: Option<&str>) -> Answer<WallTime> {
        self.clock.at(stamp::now(), zone)
    }

    /// Is the address banned?
    pub fn banned(&self, address: IpAddr) -> Answer<Option<Found>> {
        if !self.stays {
            let bans = self.config().bans.as_ref().map_err(Clone::clone)?;
            return bans::look_up(&bans.file, address, stamp::now());
        }
        let open = || Ok(List::new(self.config().bans.clone()?.file));
        let list = self.list.get_or(open).as_ref().map_err(Clone::clone)?;
        list.look_up(address, stamp::now())
    }

    /// What the list says of a ban that was found.
    pub fn ban_of(&self, found: &Found) -> Option<Ban> {
        bans::ban_at(&self.config().bans.as_ref().ok()?.file, found)
    }

    /// Bans, without waiting, whoever may be banned.
    ///
    /// # Errors
    /// Why nobody is banned.
    pub fn ban(&self, ban: Ban) -> Answer<()> {
        let configured = self.config().bans.as_ref().map_err(Clone::clone)?;
        if let Some(refusal) = bans::refusal(ban.network, &configured.never, &[]) {
            return Err(crate::Unknown::new(format!(
                "{} is not banned: {refusal}",
                ban.network
            )));
        }
        let open = || Ok(Queue::new(&configured.file));
        let queue = self.queue.get_or(open).as_ref().map_err(Clone::clone)?;
        queue.add(ban)
    }

    /// The bans that wait to be written, if a rule has banned at all.
    pub fn queue(&self) -> Option<&Queue> {
        self.queue.get()?.as_ref().ok()
    }

    /// The memory of limits.
    pub fn memory(&self) -> Answer<&Memory> {
        let open = || {
            let slots = self.config().limits.as_ref().map_err(Clone::clone)?.slots;
            Memory::open(Path::new(limits::DIRECTORY), slots)
        };
        self.memory.get_or(open).as_ref().map_err(Clone::clone)
    }

    /// Counts a connection of a client under a limit.
    pub fn take(&self, rule: &[u8], rate: &Rate, client: IpAddr) -> Answer<Taken> {
        self.memory()?.take(rule, rate, client)
    }

    /// Counts connections to a server port from a source, or in all; see [`Counts::connections`].
    pub fn connections(
        &self,
        port: u16,
        client: SocketAddr,
        source: Option<Network>,
        max: u32,
    ) -> Answer<u32> {
        let memory = self.memory().ok();
        self.counts.connections(memory, port, client, source, max)
    }
}
