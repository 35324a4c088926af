//! Where an address is: countries, continents and autonomous systems, from databases in the MaxMind format.
//!
//! A process that decides once reads the few pieces of the file that it needs. One that stays reads the file whole,
//! notices when it is replaced, and keeps the last good one. Nothing is mapped: a file that is cut short ends no
//! daemon. Where the file is gone or damaged and nothing of it is in memory, a copy is asked that was made while it was
//! good (`copy`).

mod copy;
mod mmdb;
mod records;

use std::collections::HashMap;
use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;

use self::mmdb::{Layout, Pieces, Source, Value};
use self::records::Records;
use crate::files::{self, Identity};
use crate::looked::{Looked, Moment};
use crate::network::Network;
use crate::news::News;
use crate::{Answer, Unknown, stamp};

pub use copy::{Copied, DIRECTORY as COPIES};

/// Where databases of countries usually are.
pub const COUNTRY: [&str; 12] = [
    "/var/lib/GeoIP/GeoLite2-Country.mmdb",
    "/var/lib/GeoIP/GeoIP2-Country.mmdb",
    "/var/lib/GeoIP/GeoLite2-City.mmdb",
    "/usr/share/GeoIP/GeoLite2-Country.mmdb",
    "/usr/share/GeoIP/GeoLite2-City.mmdb",
    "/var/lib/GeoIP/dbip-country-lite.mmdb",
    "/usr/share/GeoIP/dbip-country-lite.mmdb",
    "/var/lib/dbip/dbip-country-lite.mmdb",
    "/var/lib/GeoIP/ipinfo_lite.mmdb",
    "/usr/share/GeoIP/ipinfo_lite.mmdb",
    "/var/lib/GeoIP/country.mmdb",
    "/usr/share/GeoIP/country.mmdb",
];

/// Where databases of autonomous systems usually are.
pub const ASN: [&str; 8] = [
    "/var/lib/GeoIP/GeoLite2-ASN.mmdb",
    "/usr/share/GeoIP/GeoLite2-ASN.mmdb",
    "/var/lib/GeoIP/dbip-asn-lite.mmdb",
    "/usr/share/GeoIP/dbip-asn-lite.mmdb",
    "/var/lib/GeoIP/ipinfo_lite.mmdb",
    "/usr/share/GeoIP/ipinfo_lite.mmdb",
    "/var/lib/GeoIP/asn.mmdb",
    "/usr/share/GeoIP/asn.mmdb",
];

/// How long a resident uses what it has before it looks whether the file was replaced.
const LOOK: Duration = Duration::from_secs(1);

/// Two letters that stand for a country (ISO 3166) or a continent, in capitals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code([u8; 2]);

impl Code {
    /// Reads two letters.
    pub fn new(text: &str) -> Option<Code> {
        text.as_bytes().try_into().ok().and_then(Code::of)
    }

    fn of(pair: [u8; 2]) -> Option<Code> {
        let is_code = pair.iter().all(u8::is_ascii_alphabetic);
        is_code.then_some(Code(pair.map(|letter| letter.to_ascii_uppercase())))
    }

    /// Both letters.
    pub fn letters(self) -> [u8; 2] {
        self.0
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a database says of an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    /// The network its record stands for.
    pub network: Network,
    /// The country it is in, or else the one it is registered in. Nothing where it is only asked for its system.
    pub country: Option<Code>,
    /// The continent.
    pub continent: Option<Code>,
    /// The autonomous system. Nothing where it is only asked for its place.
    pub asn: Option<u32>,
}

/// What a database is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Countries,
    Systems,
    Both,
}

/// What a record says, of what is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Record {
    country: Option<Code>,
    continent: Option<Code>,
    asn: Option<u32>,
}

impl Record {
    fn read(layout: &Layout, source: &mut impl Source, at: u64, wanted: Wanted) -> io::Result<Self> {
        let mut decoder = layout.decoder(source);
        let mut record = Record::default();
        if wanted != Wanted::Systems {
            let keys = [
                "country",
                "registered_country",
                "country_code",
                "continent",
                "continent_code",
            ];
            let [country, registered, flat, continent, flat_continent] = decoder.fields(at, keys)?;
            let mut code = |places: &[(Option<u64>, Option<&str>)]| -> io::Result<Option<Code>> {
                for (place, inner) in places {
                    let place = match (place, inner) {
                        (Some(place), Some(key)) => decoder.fields(*place, [key])?[0],
                        (place, _) => *place,
                    };
                    let pair = place.map(|place| decoder.pair(place)).transpose()?.flatten();
                    if let Some(code) = pair.and_then(Code::of) {
                        return Ok(Some(code));
                    }
                }
                Ok(None)
            };
            record.country = code(&[
                (country, Some("iso_code")),
                (registered, Some("iso_code")),
                (flat, None),
                (country, None),
            ])?;
            record.continent = code(&[
                (continent, Some("code")),
                (flat_continent, None),
                (continent, None),
            ])?;
        }
        if wanted != Wanted::Countries {
            for place in decoder.fields(at, ["autonomous_system_number", "asn"])? {
                let value = place.map(|place| decoder.value(place)).transpose()?.flatten();
                record.asn = record.asn.or(match value {
                    Some(Value::Number(number)) => u32::try_from(number).ok(),
                    Some(Value::Text(text)) => text.trim_start_matches("AS").parse().ok(),
                    None => None,
                });
            }
        }
        Ok(record)
    }

    /// Of what network it is what is said.
    fn of(self, address: IpAddr, length: u8) -> Located {
        Located {
            network: Network::around(address, length),
            country: self.country,
            continent: self.continent,
            asn: self.asn,
        }
    }
}

fn locate(
    layout: &Layout,
    source: &mut impl Source,
    address: IpAddr,
    wanted: Wanted,
) -> io::Result<Option<Located>> {
    let Some((at, length)) = layout.find(source, address)? else {
        return Ok(None);
    };
    Record::read(layout, source, at, wanted).map(|record| Some(record.of(address, length)))
}

/// Which database was asked, for whoever wants to know why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edition {
    /// The file.
    pub path: PathBuf,
    /// When the database was made, in seconds since 1970.
    pub built: u64,
    /// Why it is asked in place of the one that should be.
    pub instead: Option<String>,
}

/// A database in memory.
#[derive(Debug)]
struct Loaded {
    bytes: Vec<u8>,
    layout: Layout,
    path: PathBuf,
    records: Records,
}

impl Loaded {
    fn read(path: PathBuf, file: &File) -> io::Result<Self> {
        let bytes = files::read(file, file.metadata()?.len())?;
        let layout = Layout::read(&mut bytes.as_slice())?;
        Ok(Loaded {
            bytes,
            layout,
            path,
            records: Records::new(),
        })
    }

    fn locate(&self, address: IpAddr, wanted: Wanted) -> io::Result<Option<Located>> {
        let mut bytes = self.bytes.as_slice();
        let Some((at, length)) = self.layout.find(&mut bytes, address)? else {
            return Ok(None);
        };
        let record = match self.records.get(at, wanted) {
            Some(record) => record,
            None => {
                let record = Record::read(&self.layout, &mut bytes, at, wanted)?;
                self.records.put(at, wanted, record);
                record
            }
        };
        Ok(Some(record.of(address, length)))
    }
}

/// A database that is asked.
#[derive(Debug)]
pub struct Database {
    /// Where it may be, in the order of preference.
    paths: Vec<PathBuf>,
    wanted: Wanted,
    /// Where copies of good ones are.
    copies: PathBuf,
    /// For those who stay.
    memory: Resident,
    news: News,
}

/// A database that cannot be asked: which file it is, or might be, and why.
type Missing = (Vec<PathBuf>, Unknown);

/// The file of one, open.
struct Opened {
    path: PathBuf,
    source: Pieces,
    layout: Layout,
}

impl Opened {
    fn new(path: PathBuf, file: File, size: u64) -> Result<Self, Missing> {
        let read = || {
            let mut source = Pieces::new(file, size);
            let layout = Layout::read(&mut source)?;
            Ok((source, layout))
        };
        match read() {
            Ok((source, layout)) => Ok(Opened { path, source, layout }),
            Err(error) => Err(missing(&path, &error)),
        }
    }

    fn locate(mut self, address: IpAddr, wanted: Wanted) -> Result<Option<Located>, Missing> {
        let located = locate(&self.layout, &mut self.source, address, wanted);
        located.map_err(|error| missing(&self.path, &error))
    }

    fn edition(self, instead: Option<String>) -> Edition {
        Edition {
            path: self.path,
            built: self.layout.built,
            instead,
        }
    }
}

fn missing(path: &Path, error: &io::Error) -> Missing {
    (vec![path.to_path_buf()], Unknown::file(path, error))
}

#[derive(Debug)]
struct Resident {
    loaded: RwLock<Option<Arc<Loaded>>>,
    /// Why a newer file in its place is not used.
    stale: RwLock<Option<String>>,
    /// What was looked at last, good or not.
    seen: Mutex<Option<(PathBuf, Identity)>>,
    looked: Looked,
}

impl Database {
    /// The database of countries: the one that is configured, or the first usual one.
    pub fn of_countries(configured: Option<&Path>) -> Self {
        Self::new(configured, &COUNTRY, Wanted::Countries)
    }

    /// The database of autonomous systems.
    pub fn of_systems(configured: Option<&Path>) -> Self {
        Self::new(configured, &ASN, Wanted::Systems)
    }

    fn new(configured: Option<&Path>, usual: &[&str], wanted: Wanted) -> Self {
        let paths = match configured {
            Some(path) => vec![path.to_path_buf()],
            None => usual.iter().map(PathBuf::from).collect(),
        };
        let memory = Resident {
            loaded: RwLock::new(None),
            stale: RwLock::new(None),
            seen: Mutex::new(None),
            looked: Looked::never(),
        };
        Database {
            paths,
            wanted,
            copies: copy::DIRECTORY.into(),
            memory,
            news: News::new(),
        }
    }

    /// With its copies elsewhere.
    pub fn with_copies(self, copies: impl Into<PathBuf>) -> Self {
        Database {
            copies: copies.into(),
            ..self
        }
    }

    /// Where an address is; `None` where the database does not have it. A process that `stays` keeps the database.
    pub fn locate(&self, address: IpAddr, stays: bool) -> Answer<Option<Located>> {
        if stays && let Some(loaded) = self.in_memory()? {
            let located = loaded.locate(address, self.wanted);
            return located.map_err(|error| Unknown::file(&loaded.path, &error));
        }
        let asked = self
            .opened()
            .and_then(|opened| opened.locate(address, self.wanted));
        asked.or_else(|(missing, why)| {
            let copy = self.copy_of(&missing).ok_or_else(|| why.clone())?;
            self.news.add(instead(&why, copy.layout.built));
            copy.locate(address, self.wanted).map_err(|_| why)
        })
    }

    /// Which database is asked.
    pub fn edition(&self) -> Answer<Edition> {
        if self.memory.has_some()
            && let Some(loaded) = self.in_memory()?
        {
            return Ok(Edition {
                path: loaded.path.clone(),
                built: loaded.layout.built,
                instead: self.stale(),
            });
        }
        let (opened, instead) = match self.opened() {
            Ok(opened) => (opened, None),
            Err((missing, why)) => match self.copy_of(&missing) {
                Some(copy) => (copy, Some(why.to_string())),
                None => return Err(why),
            },
        };
        Ok(opened.edition(instead))
    }

    /// The copy that is kept of it, if there is one.
    ///
    /// # Errors
    /// It is damaged.
    pub fn kept(&self) -> Option<Answer<Edition>> {
        // Not of another one, which may have been in use before.
        let paths = match self.open() {
            Ok((path, ..)) => vec![path],
            Err((missing, _)) => missing,
        };
        paths.iter().find_map(|path| {
            let path = copy::path_of(&self.copies, path);
            let (file, metadata) = match files::open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
                Err(error) => return Some(Err(Unknown::file(&path, &error))),
                Ok(opened) => opened,
            };
            let opened = Opened::new(path, file, metadata.len()).map_err(|(_, why)| why);
            Some(opened.map(|opened| opened.edition(None)))
        })
    }

    /// What should be logged, once: that something else is asked than the file that should be.
    pub(crate) fn news(&self) -> Vec<String> {
        self.news.take()
    }

    /// Lets go of what was read. It is read again when it is asked for.
    pub(crate) fn forget(&self) {
        if let (Ok(mut seen), Ok(mut loaded)) = (self.memory.seen.try_lock(), self.memory.loaded.try_write())
        {
            (*seen, *loaded) = (None, None);
        }
    }

    /// Why the file in the database's place is not used, where an older one in memory is.
    pub fn stale(&self) -> Option<String> {
        self.memory.stale.try_read().ok()?.clone()
    }

    fn open(&self) -> Result<(PathBuf, File, Metadata), Missing> {
        for path in &self.paths {
            match files::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(missing(path, &error)),
                Ok((file, metadata)) => return Ok((path.clone(), file, metadata)),
            }
        }
        let why = match self.paths.as_slice() {
            [only] => Unknown::new(format!("{}: no such file", only.display())),
            _ => {
                let what = if self.wanted == Wanted::Systems {
                    "autonomous systems"
                } else {
                    "countries"
                };
                Unknown::new(format!(
                    "no database of {what}; name one in [geo] of tcpwrap.toml"
                ))
            }
        };
        Err((self.paths.clone(), why))
    }

    fn opened(&self) -> Result<Opened, Missing> {
        self.open()
            .and_then(|(path, file, metadata)| Opened::new(path, file, metadata.len()))
    }

    /// The copy of one that is missing, if there is one.
    fn copy_of(&self, missing: &[PathBuf]) -> Option<Opened> {
        missing.iter().find_map(|path| {
            let path = copy::path_of(&self.copies, path);
            let (file, metadata) = files::open(&path).ok()?;
            Opened::new(path, file, metadata.len()).ok()
        })
    }

    /// The database in memory, read anew if it is time and there is a new one. `None` if somebody else is at it.
    fn in_memory(&self) -> Answer<Option<Arc<Loaded>>> {
        let resident = &self.memory;
        let current = || resident.loaded.try_read().ok().and_then(|loaded| loaded.clone());
        let now = Moment::now();
        if resident.looked.is_within(LOOK, now)
            && let Some(loaded) = current()
        {
            return Ok(Some(loaded));
        }
        let Ok(mut seen) = resident.seen.try_lock() else {
            return Ok(current());
        };
        let read = self.read_anew(&mut seen);
        let kept = current();
        let loaded = match read {
            Ok(Some(new)) => Some(new),
            Ok(None) => None,
            Err((missing, why)) => {
                let copy = if kept.is_none() {
                    self.copy_of(&missing)
                } else {
                    None
                };
                let copy = copy.and_then(|copy| Loaded::read(copy.path, copy.source.file()).ok());
                // The last good one stays in use.
                let Some(asked) = copy.as_ref().or(kept.as_deref()) else {
                    return Err(why);
                };
                self.is_stale(Some(why), asked.layout.built);
                copy
            }
        };
        let loaded = match loaded {
            None => kept,
            Some(new) => {
                let new = Arc::new(new);
                if self.paths.contains(&new.path) {
                    self.is_stale(None, 0);
                }
                if let Ok(mut place) = resident.loaded.try_write() {
                    *place = Some(Arc::clone(&new));
                }
                Some(new)
            }
        };
        resident.looked.set(now);
        Ok(loaded)
    }

    /// Remembers, and has it logged once, why one made at that time is asked in place of the file.
    fn is_stale(&self, why: Option<Unknown>, built: u64) {
        let Ok(mut stale) = self.memory.stale.try_write() else {
            return;
        };
        let text = why.as_ref().map(ToString::to_string);
        if let Some(why) = why.filter(|_| *stale != text) {
            self.news.add(instead(&why, built));
        }
        *stale = text;
    }

    /// Reads the file if it is another than was seen last.
    fn read_anew(&self, seen: &mut Option<(PathBuf, Identity)>) -> Result<Option<Loaded>, Missing> {
        let (path, file, metadata) = match self.open() {
            Ok(opened) => opened,
            Err(unknown) => {
                *seen = None;
                return Err(unknown);
            }
        };
        let mut load = || -> io::Result<Option<Loaded>> {
            let now = Some((path.clone(), Identity::of(&metadata)));
            if *seen == now && self.memory.has_some() {
                return Ok(None);
            }
            *seen = now;
            Loaded::read(path.clone(), &file).map(Some)
        };
        load().map_err(|error| missing(&path, &error))
    }
}

/// What is said of a database made at that time that is asked in place of the file.
fn instead(why: &Unknown, built: u64) -> String {
    let day = &stamp::show(built)[..10];
    format!("{why}; the last good one, of {day}, stays in use")
}

impl Resident {
    fn has_some(&self) -> bool {
        self.loaded.try_read().is_ok_and(|loaded| loaded.is_some())
    }
}

/// All that a database says, network by network; those of IPv6 that stand for IPv4 ones are left out.
///
/// # Errors
/// It cannot be read, or is damaged.
pub fn read_all(path: &Path) -> Answer<(Edition, Vec<Located>)> {
    let read = || -> io::Result<(Edition, Vec<Located>)> {
        let bytes = std::fs::read(path)?;
        let mut source = bytes.as_slice();
        let layout = Layout::read(&mut source)?;
        let mut places: Vec<(IpAddr, u8, u64)> = Vec::new();
        for is_v4 in [true, false] {
            layout.each(&mut source, is_v4, |address, length, at| {
                if is_v4 || address.to_canonical() == address {
                    places.push((address, length, at));
                }
                Ok(())
            })?;
        }
        // Many networks share few records.
        let mut records: HashMap<u64, Record> = HashMap::new();
        let mut all = Vec::with_capacity(places.len());
        for (address, length, at) in places {
            let record = match records.get(&at) {
                Some(record) => *record,
                None => Record::read(&layout, &mut source, at, Wanted::Both)?,
            };
            records.insert(at, record);
            all.push(record.of(address, length));
        }
        let edition = Edition {
            path: path.to_path_buf(),
            built: layout.built,
            instead: None,
        };
        Ok((edition, all))
    };
    read().map_err(|error| Unknown::file(path, &error))
}

/// Asks a database in memory: for fuzzing, and for tests.
pub fn locate_in(database: &[u8], address: IpAddr) -> io::Result<Option<Located>> {
    let mut source = database;
    let layout = Layout::read(&mut source)?;
    locate(&layout, &mut source, address, Wanted::Both)
}
