//! `/etc/tcpwrap.toml`: where the state is and what holds where it is missing. Optional, and so is every value in it.
//!
//! A mistake never leaves a default standing in for what was meant: the section it is in becomes [`Unknown`], all of
//! them if it cannot be told which one it concerns.

mod toml;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::toml::{Item, Value};
use crate::bans;
use crate::files;
use crate::limits;
use crate::network::Network;
use crate::{Answer, Unknown};

/// Where the configuration is.
pub const PATH: &str = "/etc/tcpwrap.toml";

/// What holds for databases of countries and networks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Geo {
    /// The database of countries; the first that exists of [`crate::geo::COUNTRY`] otherwise.
    pub country: Option<PathBuf>,
    /// The database of autonomous systems; the first that exists of [`crate::geo::ASN`] otherwise.
    pub asn: Option<PathBuf>,
    /// Is an address in no country, rather than in one nobody knows, where a database is missing or damaged?
    pub missing_is_no: bool,
}

/// What holds for names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// How long a name server may take to answer, each time it is asked; as resolv.conf(5) has it otherwise.
    pub timeout: Option<Duration>,
    /// How long a process keeps an answer.
    pub keep: Duration,
}

impl Default for Dns {
    fn default() -> Self {
        Dns {
            timeout: None,
            keep: Duration::from_secs(60),
        }
    }
}

/// What holds for bans.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bans {
    /// The list.
    pub file: PathBuf,
    /// Networks no ban may concern.
    pub never: Vec<Network>,
}

impl Default for Bans {
    fn default() -> Self {
        Bans {
            file: bans::PATH.into(),
            never: Vec::new(),
        }
    }
}

/// What holds for limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How many sources are remembered.
    pub slots: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { slots: limits::SLOTS }
    }
}

/// Something in the file that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub text: String,
}

/// The configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[geo]`
    pub geo: Answer<Geo>,
    /// `[dns]`
    pub dns: Answer<Dns>,
    /// `[bans]`
    pub bans: Answer<Bans>,
    /// `[limits]`
    pub limits: Answer<Limits>,
    /// Everything that is wrong with the file.
    pub mistakes: Vec<Mistake>,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            geo: Ok(Geo::default()),
            dns: Ok(Dns::default()),
            bans: Ok(Bans::default()),
            limits: Ok(Limits::default()),
            mistakes: Vec::new(),
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Section {
    Geo,
    Dns,
    Bans,
    Limits,
    /// Somebody else's.
    Record,
}

/// What is wrong with a key, and where.
enum Problem {
    Key(String),
    Value(String),
    Element(Range<usize>, String),
}

impl From<&str> for Problem {
    fn from(text: &str) -> Self {
        Problem::Value(text.into())
    }
}

impl Section {
    fn named(name: &str) -> Option<Self> {
        let all = [
            Section::Geo,
            Section::Dns,
            Section::Bans,
            Section::Limits,
            Section::Record,
        ];
        all.into_iter().find(|section| section.name() == name)
    }

    fn name(self) -> &'static str {
        match self {
            Section::Geo => "geo",
            Section::Dns => "dns",
            Section::Bans => "bans",
            Section::Limits => "limits",
            Section::Record => "record",
        }
    }

    fn is_unknown(self, config: &mut Config, cause: Unknown) {
        match self {
            Section::Geo => config.geo = Err(cause),
            Section::Dns => config.dns = Err(cause),
            Section::Bans => config.bans = Err(cause),
            Section::Limits => config.limits = Err(cause),
            Section::Record => {}
        }
    }

    /// Takes in a key. A section that has a mistake already keeps it.
    fn read(self, config: &mut Config, key: &str, value: &Value) -> Result<(), Problem> {
        match self {
            Section::Geo => geo(config.geo.as_mut().unwrap_or(&mut Geo::default()), key, value),
            Section::Dns => dns(config.dns.as_mut().unwrap_or(&mut Dns::default()), key, value),
            Section::Bans => banning(config.bans.as_mut().unwrap_or(&mut Bans::default()), key, value),
            Section::Limits => limiting(
                config.limits.as_mut().unwrap_or(&mut Limits::default()),
                key,
                value,
            ),
            Section::Record => Ok(()),
        }
    }
}

impl Config {
    /// Reads the configuration. A file that does not exist says nothing.
    pub fn read(path: &Path) -> Config {
        let read = || {
            let (file, metadata) = files::open(path)?;
            files::read(file, metadata.len())
        };
        match read() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Config::default(),
            Err(error) => Config::default().with_all_unknown(&Unknown::file(path, &error)),
            Ok(text) => Config::parse(path, &text),
        }
    }

    /// Reads a configuration's text; `path` is for messages.
    pub fn parse(path: &Path, text: &[u8]) -> Config {
        let mut config = Config::default();
        let text = match std::str::from_utf8(text) {
            Ok(text) => text,
            Err(error) => {
                let up_to = String::from_utf8_lossy(&text[..error.valid_up_to()]).into_owned();
                let mut reader = Reader::new(path, &up_to);
                let cause = reader.mistake(up_to.len()..up_to.len(), "bytes that are no UTF-8");
                config.mistakes = reader.mistakes;
                return config.with_all_unknown(&cause);
            }
        };
        let mut reader = Reader::new(path, text);
        let mut whole = None;
        let (mut section, mut is_strange) = (None, false);
        let mut seen = Vec::new();
        for item in toml::parse(text) {
            match item {
                Err((at, text)) => whole = Some(reader.mistake(at, text)),
                Ok(Item::Section(name, at)) => {
                    section = Section::named(name);
                    is_strange = section.is_none();
                    if section.is_none() {
                        let text =
                            format!("unknown section {name}; there are geo, dns, bans, limits, record");
                        whole = Some(reader.mistake(at, &text));
                    } else if seen.contains(&(name, "")) {
                        whole = Some(reader.mistake(at, "this section stands here a second time"));
                    }
                    seen.push((name, ""));
                }
                // Said once, of the section.
                Ok(Item::Key(..)) if is_strange => {}
                Ok(Item::Key(key, at, value, value_at)) => {
                    let name = section.map_or("", |section| section.name());
                    let read = match section {
                        _ if seen.contains(&(name, key)) => {
                            Err(Problem::Key("this key stands here a second time".into()))
                        }
                        None => Err(Problem::Key("a key belongs into a section".into())),
                        Some(section) => section.read(&mut config, key, &value),
                    };
                    seen.push((name, key));
                    if let Err(problem) = read {
                        let cause = match problem {
                            Problem::Key(text) => reader.mistake(at, &text),
                            Problem::Value(text) => reader.mistake(value_at, &text),
                            Problem::Element(at, text) => reader.mistake(at, &text),
                        };
                        match section {
                            Some(section) => section.is_unknown(&mut config, cause),
                            None => whole = Some(cause),
                        }
                    }
                }
            }
        }
        config.mistakes = reader.mistakes;
        match whole {
            Some(cause) => config.with_all_unknown(&cause),
            None => config,
        }
    }

    /// Takes what `before` said where this says nothing that can be used. True, if it did.
    pub(crate) fn or(&mut self, before: &Config) -> bool {
        fn keep<T: Clone>(new: &mut Answer<T>, old: &Answer<T>) -> bool {
            let is_kept = new.is_err() && old.is_ok();
            if is_kept {
                new.clone_from(old);
            }
            is_kept
        }
        let kept = [
            keep(&mut self.geo, &before.geo),
            keep(&mut self.dns, &before.dns),
            keep(&mut self.bans, &before.bans),
            keep(&mut self.limits, &before.limits),
        ];
        kept.contains(&true)
    }

    fn with_all_unknown(self, cause: &Unknown) -> Config {
        Config {
            geo: Err(cause.clone()),
            dns: Err(cause.clone()),
            bans: Err(cause.clone()),
            limits: Err(cause.clone()),
            mistakes: self.mistakes,
        }
    }
}

struct Reader<'t> {
    path: &'t Path,
    text: &'t str,
    mistakes: Vec<Mistake>,
}

impl<'t> Reader<'t> {
    fn new(path: &'t Path, text: &'t str) -> Self {
        Reader {
            path,
            text,
            mistakes: Vec::new(),
        }
    }

    fn mistake(&mut self, at: Range<usize>, text: &str) -> Unknown {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let cause = format!("{}, line {line}, column {column}: {text}", self.path.display());
        self.mistakes.push(Mistake {
            line,
            column,
            text: text.to_owned(),
        });
        Unknown::new(cause)
    }
}

fn unknown_key(known: &str) -> Problem {
    Problem::Key(format!("unknown key; there are {known}"))
}

fn geo(geo: &mut Geo, key: &str, value: &Value) -> Result<(), Problem> {
    match key {
        "country" => geo.country = Some(path(value)?),
        "asn" => geo.asn = Some(path(value)?),
        "when_missing" => {
            geo.missing_is_no = match value {
                Value::Text(text) if text == "unknown" => false,
                Value::Text(text) if text == "no" => true,
                _ => return Err("neither \"unknown\" nor \"no\"".into()),
            }
        }
        _ => return Err(unknown_key("country, asn, when_missing")),
    }
    Ok(())
}

fn dns(dns: &mut Dns, key: &str, value: &Value) -> Result<(), Problem> {
    match key {
        "timeout" => dns.timeout = Some(duration(value)?),
        "keep" => dns.keep = duration(value)?,
        _ => return Err(unknown_key("timeout, keep")),
    }
    Ok(())
}

fn banning(bans: &mut Bans, key: &str, value: &Value) -> Result<(), Problem> {
    match (key, value) {
        ("file", value) => bans.file = path(value)?,
        ("never", Value::List(networks)) => {
            for (text, at) in networks {
                let network = text
                    .parse()
                    .map_err(|error| Problem::Element(at.clone(), format!("{text:?}: {error}")))?;
                bans.never.push(network);
            }
        }
        ("never", _) => return Err("not a list of networks".into()),
        _ => return Err(unknown_key("file, never")),
    }
    Ok(())
}

fn limiting(limits: &mut Limits, key: &str, value: &Value) -> Result<(), Problem> {
    let range = limits::LEAST_SLOTS..=limits::MOST_SLOTS;
    match (key, value) {
        ("slots", Value::Number(slots)) => {
            limits.slots = u32::try_from(*slots)
                .ok()
                .filter(|slots| range.contains(slots))
                .ok_or_else(|| Problem::Value(format!("not from {} to {}", range.start(), range.end())))?;
        }
        ("slots", _) => return Err("not a whole number".into()),
        _ => return Err(unknown_key("slots")),
    }
    Ok(())
}

fn path(value: &Value) -> Result<PathBuf, Problem> {
    match value {
        Value::Text(text) if text.starts_with('/') => Ok(PathBuf::from(text)),
        _ => Err("not an absolute path in quotes".into()),
    }
}

/// A number of seconds, or a text such as `"2m"`.
fn duration(value: &Value) -> Result<Duration, Problem> {
    let duration = match value {
        Value::Text(text) => read_duration(text),
        Value::Number(seconds) => Some(Duration::from_secs(*seconds)),
        Value::List(_) => None,
    };
    duration
        .filter(|duration| *duration <= Duration::from_secs(86_400))
        .ok_or_else(|| "no duration of up to a day; write seconds, or as \"90s\", \"5m\"".into())
}

/// Reads a duration as people write it: `90s`, `30m`, `2h`, `7d`, `1w`, or several together, `1h30m`.
pub fn read_duration(text: &str) -> Option<Duration> {
    let mut seconds = 0u64;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes().get(digits)? {
            b's' => 1,
            b'm' => 60,
            b'h' => 3600,
            b'd' => 86_400,
            b'w' => 7 * 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(Path::new("/etc/tcpwrap.toml"), text.as_bytes())
    }

    #[test]
    fn all_that_can_be_said() {
        let config = parse(
            "[geo]\ncountry = '/srv/c.mmdb'\nasn = '/srv/a.mmdb'\nwhen_missing = 'no'\n\
             [dns]\ntimeout = 2\nkeep = '5m'\n[bans]\nfile = '/srv/bans'\nnever = ['10.0.0.0/8', '::1']\n\
             [limits]\nslots = 0x10000\n[record]\nanything = 1\n",
        );
        assert_eq!(config.mistakes, []);
        let geo = config.geo.unwrap();
        assert_eq!(geo.country, Some("/srv/c.mmdb".into()));
        assert!(geo.missing_is_no);
        let dns = config.dns.unwrap();
        assert_eq!(
            (dns.timeout, dns.keep.as_secs()),
            (Some(Duration::from_secs(2)), 300)
        );
        let bans = config.bans.unwrap();
        assert_eq!((bans.file, bans.never.len()), ("/srv/bans".into(), 2));
        assert_eq!(config.limits.unwrap().slots, 65536);
    }

    #[test]
    fn a_mistake_concerns_its_section_and_says_where_it_is() {
        let config = parse("[bans]\nnever = ['10.0.0.7/8']\nfil = '/x'\n[dns]\nkeep = 30\n");
        let bans = config.bans.unwrap_err().to_string();
        assert!(bans.starts_with("/etc/tcpwrap.toml, line "), "{bans}");
        let mut places: Vec<_> = config.mistakes.iter().map(|m| (m.line, m.column)).collect();
        places.sort_unstable();
        assert_eq!(places, [(2, 10), (3, 1)]);
        assert_eq!(config.dns.unwrap().keep.as_secs(), 30);
        assert!(config.geo.is_ok() && config.limits.is_ok());
    }

    #[test]
    fn a_mistake_that_may_concern_everything_concerns_everything() {
        for text in ["[ban]\nfile = '/x'\n", "x = 1\n", "[bans\n"] {
            let config = parse(text);
            assert_eq!(config.mistakes.len(), 1, "{text}");
            assert!(
                config.bans.is_err() && config.geo.is_err() && config.dns.is_err() && config.limits.is_err()
            );
        }
        let config = Config::parse(Path::new("x"), b"[bans]\n\xff");
        assert_eq!((config.mistakes[0].line, config.mistakes[0].column), (2, 1));
        assert!(config.limits.is_err());
        let directory = tempfile::tempdir().unwrap();
        assert!(
            Config::read(directory.path()).bans.is_err(),
            "it exists and cannot be read"
        );
        assert!(Config::read(&directory.path().join("none")).bans.is_ok());
    }

    #[test]
    fn values_out_of_range() {
        for text in [
            "[geo]\nwhen_missing = 'yes'",
            "[geo]\ncountry = 'relative'",
            "[geo]\ncountry = 7",
            "[geo]\ncountry = '/a'\ncountry = '/b'",
            "[dns]\nkeep = -1",
            "[dns]\nkeep = '2y'",
            "[dns]\nkeep = '2w'",
            "[dns]\nkeep = 1.5",
            "[bans]\nnever = '10.0.0.0/8'",
            "[limits]\nslots = 7",
            "[limits]\nslots = 99999999999999999999",
            "bans = 3",
        ] {
            assert_eq!(parse(text).mistakes.len(), 1, "{text}");
        }
    }

    #[test]
    fn durations() {
        for (text, seconds) in [
            ("90s", 90),
            ("30m", 1800),
            ("2h", 7200),
            ("7d", 604_800),
            ("1w", 604_800),
            ("1h30m", 5400),
            ("0s", 0),
        ] {
            assert_eq!(read_duration(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "5",
            "h",
            "-5m",
            "1.5h",
            "5 m",
            "99999999999999999999d",
            "9999999999999999999w",
            "5é",
        ] {
            assert_eq!(read_duration(text), None, "{text}");
        }
    }
}
