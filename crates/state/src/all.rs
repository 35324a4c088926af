//! All of it together, for one process, as the configuration has it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::bans::{self, Ban, Found, List, Queue};
use crate::clock::{Clock, WallTime};
use crate::config::Config;
use crate::counts::Counts;
use crate::files::Identity;
use crate::geo::{Database, Located};
use crate::interfaces::Interfaces;
use crate::lazy::Lazy;
use crate::limits::{self, Memory, Rate, Taken};
use crate::looked::{Looked, Moment};
use crate::names::{Family, Names, Resolved};
use crate::network::Network;
use crate::news::News;
use crate::{Answer, config, stamp};

/// How long a process that stays uses its configuration before it looks whether that was changed.
const LOOK: Duration = Duration::from_secs(1);

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
    /// Another configuration than the host's own.
    path: Option<&'static Path>,
    parts: Lazy<Parts>,
    /// At the configuration.
    looked: Looked,
    news: News,
    counts: Counts,
    interfaces: Interfaces,
    clock: Clock,
}

/// What is as the configuration has it.
#[derive(Debug)]
struct Parts {
    config: Config,
    /// The file it is from, as that was; nothing, where there was none.
    seen: Option<Identity>,
    geo: Arc<Geo>,
    names: Arc<Lazy<Answer<Names>>>,
    bans: Arc<Bans>,
    memory: Arc<Lazy<Memory>>,
}

#[derive(Debug, Default)]
struct Geo {
    countries: Lazy<Answer<Database>>,
    systems: Lazy<Answer<Database>>,
}

#[derive(Debug, Default)]
struct Bans {
    list: Lazy<Answer<List>>,
    queue: Lazy<Answer<Queue>>,
}

impl Parts {
    fn new(config: Config, seen: Option<Identity>) -> Self {
        Parts {
            config,
            seen,
            geo: Arc::default(),
            names: Arc::default(),
            bans: Arc::default(),
            memory: Arc::default(),
        }
    }

    /// Only who stays looks at it again.
    fn read(path: &Path, stays: bool) -> Self {
        // First, so that a change while it is read is noticed.
        let seen = if stays { Identity::at(path) } else { None };
        Parts::new(Config::read(path), seen)
    }

    /// Keeps what was made from sections that say the same as before.
    fn keep(&mut self, before: &Parts) {
        let (old, new) = (&before.config, &self.config);
        if old.geo == new.geo {
            self.geo = Arc::clone(&before.geo);
        }
        if old.dns == new.dns {
            self.names = Arc::clone(&before.names);
        }
        if old.bans == new.bans {
            self.bans = Arc::clone(&before.bans);
        }
        if old.limits == new.limits {
            self.memory = Arc::clone(&before.memory);
        }
    }
}

impl State {
    /// For a process that decides once, or one that `stays` and keeps what it has read.
    pub const fn new(stays: bool) -> Self {
        State {
            stays,
            path: None,
            parts: Lazy::new(),
            looked: Looked::never(),
            news: News::new(),
            counts: Counts::new(),
            interfaces: Interfaces::new(),
            clock: Clock::new(),
        }
    }

    /// By the configuration at this path, not the host's.
    pub const fn at(path: &'static Path, stays: bool) -> Self {
        let mut state = State::new(stays);
        state.path = Some(path);
        state
    }

    fn parts(&self) -> &Parts {
        let path = self.path.unwrap_or(Path::new(config::PATH));
        let parts = self.parts.get_or(|| {
            self.looked.set(Moment::now());
            Parts::read(path, self.stays)
        });
        if !self.stays {
            return parts;
        }
        match self.looked.is_mine(LOOK, Moment::now()) {
            true => self.look(path, parts),
            false => parts,
        }
    }

    /// Takes in a configuration that was changed, and writes bans that wait. What cannot be used of it changes nothing.
    fn look<'s>(&'s self, path: &Path, parts: &'s Parts) -> &'s Parts {
        let queue = parts.bans.queue.get().and_then(|queue| queue.as_ref().ok());
        if let Some(Err(lost)) = queue.map(Queue::flush) {
            self.news.add(lost.to_string());
        }
        // Those that still wait are for the list they were made for.
        if Identity::at(path) == parts.seen || queue.is_some_and(|queue| queue.count_waiting() > 0) {
            return parts;
        }
        let mut new = Parts::read(path, self.stays);
        if new.config.or(&parts.config) {
            let mistake = new.config.mistakes.first();
            let why = mistake.map_or("cannot be read".to_owned(), |mistake| {
                format!(
                    "line {}, column {}: {}",
                    mistake.line, mistake.column, mistake.text
                )
            });
            let path = path.display();
            self.news.add(format!(
                "{path}: {why}; what that section said before stays in force"
            ));
        }
        new.keep(parts);
        let new = self.parts.renew(parts, new);
        // What nobody will ask any more need not stay in memory.
        if !Arc::ptr_eq(&new.geo, &parts.geo) {
            let both = [&parts.geo.countries, &parts.geo.systems];
            let made = both.iter().filter_map(|database| database.get()?.as_ref().ok());
            made.for_each(Database::forget);
        }
        if !Arc::ptr_eq(&new.bans, &parts.bans)
            && let Some(Ok(list)) = parts.bans.list.get()
        {
            list.forget();
        }
        new
    }

    /// What should be logged, once: what of the host's files cannot be used, and what is used in its place.
    pub fn news(&self) -> Vec<String> {
        let mut news = self.news.take();
        if let Some(parts) = self.parts.get() {
            for database in [&parts.geo.countries, &parts.geo.systems] {
                if let Some(Ok(database)) = database.get() {
                    news.extend(database.news());
                }
            }
        }
        news
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.parts().config
    }

    /// The database of countries.
    pub fn countries(&self) -> Answer<&Database> {
        let parts = self.parts();
        let open = || {
            let geo = parts.config.geo.as_ref().map_err(Clone::clone)?;
            Ok(Database::of_countries(geo.country.as_deref()))
        };
        parts.geo.countries.get_or(open).as_ref().map_err(Clone::clone)
    }

    /// The database of autonomous systems.
    pub fn systems(&self) -> Answer<&Database> {
        let parts = self.parts();
        let open = || {
            let geo = parts.config.geo.as_ref().map_err(Clone::clone)?;
            Ok(Database::of_systems(geo.asn.as_deref()))
        };
        parts.geo.systems.get_or(open).as_ref().map_err(Clone::clone)
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
        let geo = self.parts.get().map(|parts| &parts.config.geo);
        match geo {
            Some(Ok(geo)) if geo.missing_is_no => Ok(answer.unwrap_or(None)),
            _ => answer,
        }
    }

    fn names(&self) -> Answer<&Names> {
        let parts = self.parts();
        let open = || Ok(Names::new(parts.config.dns.clone()?));
        parts.names.get_or(open).as_ref().map_err(Clone::clone)
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
        let parts = self.parts();
        let open = || Ok(List::new(parts.config.bans.clone()?.file));
        let list = parts.bans.list.get_or(open).as_ref().map_err(Clone::clone)?;
        list.look_up(address, stamp::now())
    }

    /// What the list says of a ban that was found.
    pub fn ban_of(&self, found: &Found) -> Option<Ban> {
        bans::ban_at(&self.config().bans.as_ref().ok()?.file, found)
    }

    /// How often a process that decides once tries to write a ban.
    const PATIENCE: u32 = 500;

    /// Bans whoever may be banned. Only a process that decides once waits for another writer, and a second at most.
    ///
    /// # Errors
    /// Why nobody is banned.
    pub fn ban(&self, ban: Ban) -> Answer<()> {
        let parts = self.parts();
        let configured = parts.config.bans.as_ref().map_err(Clone::clone)?;
        if let Some(refusal) = bans::refusal(ban.network, &configured.never, &[]) {
            return Err(crate::Unknown::new(format!(
                "{} is not banned: {refusal}",
                ban.network
            )));
        }
        let open = || Ok(Queue::new(&configured.file));
        let queue = parts.bans.queue.get_or(open).as_ref().map_err(Clone::clone)?;
        queue.add(ban)?;
        // Those who stay write it with the next one; there is no later for a process that decides once.
        for _ in 0..Self::PATIENCE {
            if self.stays || queue.count_waiting() == 0 {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(2));
            queue.flush()?;
        }
        Err(crate::Unknown::new("somebody is writing to the list"))
    }

    /// The memory of limits. Where it cannot be had, it may be later.
    pub fn memory(&self) -> Answer<&Memory> {
        let parts = self.parts();
        if let Some(memory) = parts.memory.get() {
            return Ok(memory);
        }
        let slots = parts.config.limits.as_ref().map_err(Clone::clone)?.slots;
        let memory = Memory::open(Path::new(limits::DIRECTORY), slots)?;
        Ok(parts.memory.get_or(|| memory))
    }

    /// Is the memory of limits open?
    pub fn has_memory(&self) -> bool {
        self.parts().memory.get().is_some()
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
