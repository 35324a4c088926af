//! What time it is somewhere (`{time=…}`).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tz::TimeZone;

use crate::stamp;
use crate::{Answer, Unknown};

/// Where zones are described.
pub const ZONES: &str = "/usr/share/zoneinfo";
/// Where this host's own zone is.
pub const LOCAL: &str = "/etc/localtime";

/// How long a zone that was read is used.
const FRESH: Duration = Duration::from_secs(60);

/// A moment as a clock on the wall there shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WallTime {
    /// Days since 1970-01-01, by the calendar there.
    pub day: i64,
    /// Year, month, day.
    pub date: (u32, u8, u8),
    /// The day of the week, 0 for Monday.
    pub weekday: u8,
    /// Minutes since midnight.
    pub minute: u16,
}

/// Clocks, for one process.
#[derive(Debug)]
pub struct Clock {
    zones: Cow<'static, str>,
    local: Cow<'static, str>,
    kept: Mutex<BTreeMap<Option<String>, (Instant, TimeZone)>>,
}

impl Default for Clock {
    fn default() -> Self {
        Clock::new()
    }
}

impl Clock {
    /// By the zones this host has.
    pub const fn new() -> Self {
        Clock {
            zones: Cow::Borrowed(ZONES),
            local: Cow::Borrowed(LOCAL),
            kept: Mutex::new(BTreeMap::new()),
        }
    }

    /// With zones described in a directory, and this host's own in a file.
    pub fn with(zones: impl Into<String>, local: impl Into<String>) -> Self {
        Clock {
            zones: Cow::Owned(zones.into()),
            local: Cow::Owned(local.into()),
            kept: Mutex::new(BTreeMap::new()),
        }
    }

    /// What the clock shows at a moment, in seconds since 1970, in a zone, `Europe/Berlin` in any case of letters, or
    /// in this host's own.
    pub fn at(&self, moment: u64, zone: Option<&str>) -> Answer<WallTime> {
        if zone.is_some_and(|zone| zone.eq_ignore_ascii_case("UTC")) {
            return Ok(wall_time(moment, 0));
        }
        let offset = |zone: &TimeZone| {
            let found = zone.find_local_time_type(moment as i64);
            found
                .map(|kind| wall_time(moment, kind.ut_offset().into()))
                .map_err(|error| Unknown::new(format!("the zone does not say: {error}")))
        };
        let mut kept = self.kept.try_lock().ok();
        let key = zone.map(str::to_owned);
        if let Some((at, zone)) = kept.as_deref().and_then(|kept| kept.get(&key))
            && at.elapsed() < FRESH
        {
            return offset(zone);
        }
        let read = match zone {
            Some(zone) => self.read_zone(zone)?,
            None => self.read_local()?,
        };
        let answer = offset(&read);
        if let Some(kept) = kept.as_deref_mut() {
            kept.insert(key, (Instant::now(), read));
        }
        answer
    }

    /// Is there such a zone here?
    pub fn knows(&self, zone: &str) -> bool {
        zone.eq_ignore_ascii_case("UTC") || self.read_zone(zone).is_ok()
    }

    fn read_zone(&self, zone: &str) -> Answer<TimeZone> {
        let unknown = || Unknown::new(format!("there is no zone {zone} in {}", self.zones));
        let fits = |part: &str| {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte);
            !part.is_empty() && part.bytes().all(fits)
        };
        let mut path = PathBuf::from(&*self.zones);
        for part in zone.split('/') {
            if !fits(part) {
                return Err(unknown());
            }
            path = find(&path, part).ok_or_else(unknown)?;
        }
        read(&path)
    }

    /// A host that does not say where it is keeps UTC.
    fn read_local(&self) -> Answer<TimeZone> {
        let local = Path::new(&*self.local);
        match local.try_exists() {
            Ok(false) => Ok(TimeZone::utc()),
            _ => read(local),
        }
    }
}

/// The entry of a directory that a name in any case of letters stands for.
fn find(directory: &Path, name: &str) -> Option<PathBuf> {
    let exact = directory.join(name);
    if exact.exists() {
        return Some(exact);
    }
    let entries = std::fs::read_dir(directory).ok()?;
    let mut names = entries.flatten().map(|entry| entry.file_name());
    let found = names.find(|found| found.eq_ignore_ascii_case(name))?;
    Some(directory.join(found))
}

fn read(path: &Path) -> Answer<TimeZone> {
    /// The longest description there is has a few kilobytes.
    const LONGEST: u64 = 256 * 1024;
    let mut options = std::fs::OpenOptions::new();
    let open = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let mut bytes = Vec::new();
    open.and_then(|file| file.take(LONGEST).read_to_end(&mut bytes))
        .map_err(|error| Unknown::file(path, &error))?;
    TimeZone::from_tz_data(&bytes).map_err(|error| Unknown::new(format!("{}: {error}", path.display())))
}

fn wall_time(moment: u64, offset: i64) -> WallTime {
    const DAY: i64 = 86_400;
    let local = i64::try_from(moment)
        .unwrap_or(i64::MAX / 2)
        .saturating_add(offset);
    let day = local.div_euclid(DAY);
    let (year, month, date) = stamp::date(u64::try_from(day).unwrap_or(0));
    WallTime {
        day,
        date: (year as u32, month as u8, date as u8),
        // 1970 began on a Thursday.
        weekday: (day + 3).rem_euclid(7) as u8,
        minute: (local.rem_euclid(DAY) / 60) as u16,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> u64 {
        stamp::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn clocks_on_the_wall() {
        let clock = Clock::default();
        for (utc, zone, date, weekday, minute) in [
            ("2026-11-26T13:12:59Z", "UTC", (2026, 11, 26), 3, 13 * 60 + 12),
            ("2026-11-26T23:30:00Z", "Europe/Berlin", (2026, 11, 27), 4, 30),
            // An hour that there is not, and one that there is twice.
            ("2026-03-29T00:59:59Z", "Europe/Berlin", (2026, 3, 29), 6, 119),
            ("2026-03-29T01:00:00Z", "Europe/Berlin", (2026, 3, 29), 6, 180),
            ("2026-10-25T00:59:00Z", "europe/berlin", (2026, 10, 25), 6, 179),
            ("2026-10-25T01:00:00Z", "EUROPE/BERLIN", (2026, 10, 25), 6, 120),
            // West, and by half hours, and a day that was left out.
            (
                "2026-01-01T04:59:00Z",
                "America/New_York",
                (2025, 12, 31),
                2,
                23 * 60 + 59,
            ),
            (
                "2026-07-01T03:59:00Z",
                "America/New_York",
                (2026, 6, 30),
                1,
                23 * 60 + 59,
            ),
            ("2026-01-01T18:30:00Z", "Asia/Kolkata", (2026, 1, 2), 4, 0),
            (
                "2011-12-30T09:59:00Z",
                "Pacific/Apia",
                (2011, 12, 29),
                3,
                23 * 60 + 59,
            ),
            ("2011-12-30T10:00:00Z", "Pacific/Apia", (2011, 12, 31), 5, 0),
            // Far ahead, by the rule at the end of the description.
            ("2099-07-01T10:00:00Z", "Europe/Berlin", (2099, 7, 1), 2, 12 * 60),
        ] {
            let shown = clock.at(moment(utc), Some(zone)).unwrap();
            assert_eq!(
                (shown.date, shown.weekday, shown.minute),
                (date, weekday, minute),
                "{utc} {zone}"
            );
        }
    }

    #[test]
    fn zones_nobody_knows() {
        let clock = Clock::default();
        for zone in [
            "Mars/Olympus",
            "",
            "/etc/passwd",
            "../../../etc/passwd",
            "Europe/",
            "Europe",
            "zone.tab",
            "UTC/",
            "tzdata.zi",
        ] {
            assert!(clock.at(0, Some(zone)).is_err(), "{zone}");
            assert!(!clock.knows(zone), "{zone}");
        }
        assert!(clock.knows("utc") && clock.knows("Etc/GMT+5"));
    }

    #[test]
    fn a_host_that_does_not_say_keeps_utc_and_one_that_cannot_is_unknown() {
        let directory = tempfile::tempdir().unwrap();
        let local = directory.path().join("localtime");
        let at = || Clock::with(ZONES, local.display().to_string()).at(moment("2026-11-26T13:12:00Z"), None);
        assert_eq!(at().unwrap().minute, 13 * 60 + 12);
        std::os::unix::fs::symlink(Path::new(ZONES).join("Asia/Tokyo"), &local).unwrap();
        assert_eq!(at().unwrap().minute, 22 * 60 + 12);
        std::fs::remove_file(&local).unwrap();
        std::fs::write(&local, "nonsense").unwrap();
        assert!(at().is_err());
    }
}
