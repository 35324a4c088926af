//! `/etc/tcpwrap.toml`: where the state is and what holds where it is missing. Optional, and so is every value in it.
//!
//! A mistake never leaves a default standing in for what was meant: the section it is in becomes [`Unknown`], all of
//! them if it cannot be told which one it concerns.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::bans;
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

/// Sections of others.
const OTHERS: [&str; 1] = ["record"];

impl Config {
    /// Reads the configuration. A file that does not exist says nothing.
    pub fn read(path: &Path) -> Config {
        match std::fs::read(path) {
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
        let table = match DeTable::parse(text) {
            Ok(table) => table.into_inner(),
            Err(error) => {
                let cause = reader.mistake(error.span().unwrap_or(0..0), error.message());
                config.mistakes = reader.mistakes;
                return config.with_all_unknown(&cause);
            }
        };
        let mut whole = None;
        for (name, value) in &table {
            let known = match name.get_ref().as_ref() {
                "geo" => {
                    config.geo = reader.section(value, Reader::geo);
                    true
                }
                "dns" => {
                    config.dns = reader.section(value, Reader::dns);
                    true
                }
                "bans" => {
                    config.bans = reader.section(value, Reader::bans);
                    true
                }
                "limits" => {
                    config.limits = reader.section(value, Reader::limits);
                    true
                }
                other => OTHERS.contains(&other),
            };
            if !known {
                let text = format!(
                    "unknown section {}; there are geo, dns, bans, limits, record",
                    name.get_ref()
                );
                whole = Some(reader.mistake(name.span(), &text));
            }
        }
        config.mistakes = reader.mistakes;
        match whole {
            Some(cause) => config.with_all_unknown(&cause),
            None => config,
        }
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

type Value<'t> = Spanned<DeValue<'t>>;

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

    /// Hands every key of a section to `read`, and goes on behind a mistake, to find all.
    fn section<T: Default>(
        &mut self,
        value: &Value<'_>,
        read: fn(&mut Self, &mut T, &str, &Value<'_>) -> Result<(), String>,
    ) -> Answer<T> {
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.mistake(value.span(), "this is a section: put its name in square brackets"));
        };
        let mut section = T::default();
        let mut cause = None;
        for (key, value) in table {
            if let Err(text) = read(self, &mut section, key.get_ref(), value) {
                let at = match text.starts_with("unknown") {
                    true => key.span(),
                    false => value.span(),
                };
                cause = Some(self.mistake(at, &text));
            }
        }
        cause.map_or(Ok(section), Err)
    }

    fn geo(&mut self, geo: &mut Geo, key: &str, value: &Value<'_>) -> Result<(), String> {
        match key {
            "country" => geo.country = Some(path(value)?),
            "asn" => geo.asn = Some(path(value)?),
            "when_missing" => {
                geo.missing_is_no = match string(value)? {
                    "unknown" => false,
                    "no" => true,
                    _ => return Err("neither \"unknown\" nor \"no\"".into()),
                }
            }
            _ => return Err("unknown key; there are country, asn, when_missing".into()),
        }
        Ok(())
    }

    fn dns(&mut self, dns: &mut Dns, key: &str, value: &Value<'_>) -> Result<(), String> {
        match key {
            "timeout" => dns.timeout = Some(duration(value)?),
            "keep" => dns.keep = duration(value)?,
            _ => return Err("unknown key; there are timeout, keep".into()),
        }
        Ok(())
    }

    fn bans(&mut self, bans: &mut Bans, key: &str, value: &Value<'_>) -> Result<(), String> {
        match key {
            "file" => bans.file = path(value)?,
            "never" => {
                let DeValue::Array(networks) = value.get_ref() else {
                    return Err("not a list of networks".into());
                };
                for network in networks {
                    let text = string(network)?;
                    bans.never
                        .push(text.parse().map_err(|error| format!("{text:?}: {error}"))?);
                }
            }
            _ => return Err("unknown key; there are file, never".into()),
        }
        Ok(())
    }

    fn limits(&mut self, limits: &mut Limits, key: &str, value: &Value<'_>) -> Result<(), String> {
        match key {
            "slots" => {
                let slots = integer(value)?;
                let range = limits::LEAST_SLOTS..=limits::MOST_SLOTS;
                limits.slots = u32::try_from(slots)
                    .ok()
                    .filter(|slots| range.contains(slots))
                    .ok_or_else(|| format!("not from {} to {}", range.start(), range.end()))?;
            }
            _ => return Err("unknown key; there is slots".into()),
        }
        Ok(())
    }
}

fn string<'v>(value: &'v Value<'_>) -> Result<&'v str, String> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text),
        _ => Err("not a text in quotes".into()),
    }
}

fn path(value: &Value<'_>) -> Result<PathBuf, String> {
    let path = PathBuf::from(string(value)?);
    match path.is_absolute() {
        true => Ok(path),
        false => Err("not an absolute path".into()),
    }
}

fn integer(value: &Value<'_>) -> Result<i64, String> {
    match value.get_ref() {
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
        _ => None,
    }
    .ok_or_else(|| "not a whole number".into())
}

/// A number of seconds, or a text such as `"2m"`.
fn duration(value: &Value<'_>) -> Result<Duration, String> {
    let duration = match value.get_ref() {
        DeValue::String(text) => read_duration(text),
        _ => integer(value)
            .ok()
            .and_then(|seconds| u64::try_from(seconds).ok())
            .map(Duration::from_secs),
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
             [limits]\nslots = 0x10000\n[record]\nanything = true\n",
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
        assert_eq!(places, [(2, 9), (3, 1)]);
        assert_eq!(config.dns.unwrap().keep.as_secs(), 30);
        assert!(config.geo.is_ok() && config.limits.is_ok());
    }

    #[test]
    fn a_mistake_that_may_concern_everything_concerns_everything() {
        for text in [
            "[ban]\nfile = '/x'\n",
            "x = 1\n",
            "[bans\n",
            "[bans]\nfile = '/x'\nfile = '/y'\n",
        ] {
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
