//! The value of `{time=…}`: days of the week or dates, hours, and a time zone.
//!
//! `Mon-Fri/0800-1800`, `0800-1800`, `Sat|Sun`, `2026-12-24..2026-12-26`; a zone at the end: `/Europe/Berlin`.

/// Moments of local time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Times<'t> {
    spans: Vec<Span>,
    /// The zone whose time it is, by its name; the host's where none is named.
    pub zone: Option<&'t [u8]>,
}

/// A moment of local time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Moment {
    /// Days since 1970-01-01.
    pub day: i64,
    /// Minutes since midnight.
    pub minute: u16,
}

/// Hours of some days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    days: Days,
    /// From one minute of the day to before another. Where that comes first, it is one of the next day.
    minutes: Option<(u16, u16)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Days {
    Every,
    /// From one day of the week to another, Monday being 0.
    Week(u8, u8),
    /// From one date to another, in days since 1970-01-01.
    Dates(i64, i64),
}

const WEEK: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];

/// Reads them. The error is the part that cannot be read.
///
/// # Errors
/// A part is neither days nor hours nor dates, or stands in the wrong place.
pub fn times(value: &[u8]) -> Result<Times<'_>, &[u8]> {
    let mut spans = Vec::new();
    let mut zone = None;
    for alternative in value.split(|byte| *byte == b'|') {
        if zone.is_some() {
            // It stands at the end, for all of them.
            return Err(zone.unwrap_or_default());
        }
        let mut span = Span {
            days: Days::Every,
            minutes: None,
        };
        let mut rest = alternative;
        let (first, after) = part(rest);
        let mut has_days = false;
        if let Some(days) = days(first) {
            (span.days, has_days) = (days, true);
            rest = after;
        }
        let (first, after) = part(rest);
        if let Some(minutes) = hours(first) {
            span.minutes = Some(minutes);
            rest = after;
        }
        if !has_days && span.minutes.is_none() {
            return Err(alternative);
        }
        if !rest.is_empty() {
            if !is_zone(rest) {
                return Err(rest);
            }
            zone = Some(rest);
        } else if alternative.ends_with(b"/") {
            return Err(alternative);
        }
        spans.push(span);
    }
    Ok(Times { spans, zone })
}

impl Times<'_> {
    /// Is it one of these moments?
    ///
    /// ```
    /// use hosts_access::syntax::time::{Moment, times};
    /// let office = times(b"Mon-Fri/0800-1800").unwrap();
    /// // 1970-01-01 was a Thursday.
    /// assert!(office.contain(Moment { day: 0, minute: 8 * 60 }));
    /// assert!(!office.contain(Moment { day: 0, minute: 18 * 60 }));
    /// assert!(!office.contain(Moment { day: 2, minute: 8 * 60 }));
    /// ```
    pub fn contain(&self, moment: Moment) -> bool {
        let Moment { day, minute } = moment;
        self.spans.iter().any(|span| match span.minutes {
            None => span.days.has(day),
            Some((from, to)) if from < to => span.days.has(day) && (from..to).contains(&minute),
            // Over midnight: it belongs to the day it begins on.
            Some((from, to)) => span.days.has(day) && minute >= from || span.days.has(day - 1) && minute < to,
        })
    }
}

/// Where it may come to be another answer, for whoever studies them.
impl Times<'_> {
    /// Days that are another than the one before them, but for the days of the week; and minutes of a day.
    pub fn edges(&self) -> (Vec<i64>, Vec<u16>) {
        let (mut days, mut minutes) = (Vec::new(), Vec::new());
        for span in &self.spans {
            if let Days::Dates(from, to) = span.days {
                days.extend([from, to + 1]);
            }
            if let Some((from, to)) = span.minutes {
                minutes.extend([from, to]);
            }
        }
        (days, minutes)
    }

    /// The last day of them all; nothing where they come again and again.
    pub fn last_day(&self) -> Option<i64> {
        let last = |span: &Span| match (span.days, span.minutes) {
            (Days::Dates(_, to), Some((from, until))) if until < from => Some(to + 1),
            (Days::Dates(_, to), _) => Some(to),
            (Days::Every | Days::Week(..), _) => None,
        };
        self.spans
            .iter()
            .map(last)
            .try_fold(i64::MIN, |a, b| Some(a.max(b?)))
    }
}

impl Days {
    fn has(self, day: i64) -> bool {
        match self {
            Days::Every => true,
            Days::Week(from, to) => {
                // 1970-01-01 was a Thursday.
                let weekday = (day + 3).rem_euclid(7);
                let span = (i64::from(to) - i64::from(from)).rem_euclid(7);
                (weekday - i64::from(from)).rem_euclid(7) <= span
            }
            Days::Dates(from, to) => (from..=to).contains(&day),
        }
    }
}

/// Up to the next slash, and after it.
fn part(text: &[u8]) -> (&[u8], &[u8]) {
    match memchr::memchr(b'/', text) {
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (text, b""),
    }
}

fn days(text: &[u8]) -> Option<Days> {
    let weekday = |text: &[u8]| {
        let at = WEEK.iter().position(|day| day.eq_ignore_ascii_case(text))?;
        u8::try_from(at).ok()
    };
    if let Some(at) = text.windows(2).position(|pair| pair == b"..") {
        let (from, to) = (date(&text[..at])?, date(&text[at + 2..])?);
        return (from <= to).then_some(Days::Dates(from, to));
    }
    if let Some(day) = date(text) {
        return Some(Days::Dates(day, day));
    }
    match memchr::memchr(b'-', text) {
        Some(at) => Some(Days::Week(weekday(&text[..at])?, weekday(&text[at + 1..])?)),
        None => weekday(text).map(|day| Days::Week(day, day)),
    }
}

/// `0800-1800`. A span of no length is none.
fn hours(text: &[u8]) -> Option<(u16, u16)> {
    let minute = |text: &[u8]| {
        let (hours, minutes) = (number(text.get(..2)?)?, number(text.get(2..)?)?);
        let is_time = text.len() == 4 && minutes < 60 && (hours < 24 || hours == 24 && minutes == 0);
        u16::try_from(hours * 60 + minutes).ok().filter(|_| is_time)
    };
    let at = memchr::memchr(b'-', text)?;
    let (from, to) = (minute(&text[..at])?, minute(&text[at + 1..])?);
    (from != to && from < 24 * 60).then_some((from, to))
}

/// `2026-12-24`, in days since 1970-01-01.
fn date(text: &[u8]) -> Option<i64> {
    let [_, _, _, _, b'-', _, _, b'-', _, _] = text else {
        return None;
    };
    let (year, month, day) = (number(&text[..4])?, number(&text[5..7])?, number(&text[8..])?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=length).contains(&day) || year < 1970 {
        return None;
    }
    // Years are counted from March, so that the day that is now and then there comes last.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let before = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5;
    Some(before + day - 1 - 719_468)
}

fn number(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Can it be the name of a zone? It is the name of a file, too, and must stay under its directory.
fn is_zone(text: &[u8]) -> bool {
    let is_part = |part: &[u8]| {
        let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"_+-".contains(byte);
        part.first().is_some_and(u8::is_ascii_alphabetic) && part.iter().all(fits)
    };
    text.split(|byte| *byte == b'/').all(is_part) && days(part(text).0).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(value: &str, date_: &str, clock: &str) -> bool {
        let moment = Moment {
            day: date(date_.as_bytes()).unwrap(),
            minute: clock[..2].parse::<u16>().unwrap() * 60 + clock[2..].parse::<u16>().unwrap(),
        };
        times(value.as_bytes()).unwrap().contain(moment)
    }

    #[test]
    fn dates_are_days_since_1970() {
        assert_eq!(date(b"1970-01-01"), Some(0));
        assert_eq!(date(b"2000-02-29"), Some(11_016));
        assert_eq!(date(b"2026-11-26"), Some(20_783));
        assert_eq!(date(b"2026-02-29"), None);
        assert_eq!(date(b"2026-13-01"), None);
        assert_eq!(date(b"1969-12-31"), None);
        // By `date -d`.
        assert_eq!(date(b"1999-12-31"), Some(10_956));
        assert_eq!(date(b"2000-03-01"), Some(11_017));
        assert_eq!(date(b"2004-02-29"), Some(12_477));
        assert_eq!(date(b"2027-01-31"), Some(20_849));
        assert_eq!(date(b"2100-03-01"), Some(47_541));
        assert_eq!(date(b"2026-02-28"), Some(20_512));
        assert_eq!(date(b"2100-02-29"), None);
        assert_eq!(date(b"2400-02-29"), Some(157_113));
        for wrong in [
            "2026-04-31",
            "2026-01-32",
            "2026-00-10",
            "2026-01-00",
            "2026-1-010",
            "2026/01/01",
        ] {
            assert_eq!(date(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn hours_of_days() {
        // 2026-11-26 is a Thursday.
        assert!(at("Mon-Fri/0800-1800", "2026-11-26", "0800"));
        assert!(at("Mon-Fri/0800-1800", "2026-11-26", "1759"));
        assert!(!at("Mon-Fri/0800-1800", "2026-11-26", "1800"));
        assert!(!at("Mon-Fri/0800-1800", "2026-11-28", "1200"));
        assert!(at("0830-1745", "2026-11-26", "0830") && !at("0830-1745", "2026-11-26", "0829"));
        assert!(at("0830-1745", "2026-11-26", "1744") && !at("0830-1745", "2026-11-26", "1745"));
        assert!(at("Sat|Sun", "2026-11-28", "0000"));
        assert!(at("Fri-Mon", "2026-11-29", "1200"));
        assert!(!at("Fri-Mon", "2026-11-26", "1200"));
        assert!(at("0000-2400", "2026-11-26", "2359"));
        assert!(at("thu", "2026-11-26", "2359"));
        assert!(!at("thu", "2026-11-27", "0000"));
        assert!(at("Mon-Mon", "2026-11-30", "1200"));
        assert!(!at("Mon-Mon", "2026-11-29", "1200"));
        assert!(at("Sun-Tue", "2026-12-01", "1200"));
        assert!(!at("Sun-Tue", "2026-12-02", "1200"));
    }

    #[test]
    fn a_span_over_midnight_belongs_to_the_day_it_begins_on() {
        assert!(at("Thu/2200-0600", "2026-11-26", "2200"));
        assert!(at("Thu/2200-0600", "2026-11-27", "0559"));
        assert!(!at("Thu/2200-0600", "2026-11-27", "0600"));
        assert!(!at("Thu/2200-0600", "2026-11-26", "2159"));
        assert!(!at("Thu/2200-0600", "2026-11-26", "0559"));
        assert!(!at("Thu/2200-0600", "2026-11-27", "2200"));
        assert!(at("2026-12-31/2200-0600", "2027-01-01", "0300"));
    }

    #[test]
    fn dates_and_zones() {
        assert!(at("2026-12-24..2026-12-26", "2026-12-26", "2359"));
        assert!(!at("2026-12-24..2026-12-26", "2026-12-27", "0000"));
        assert_eq!(
            times(b"0800-1800/Europe/Berlin").unwrap().zone,
            Some(&b"Europe/Berlin"[..])
        );
        assert_eq!(times(b"Sat|Sun/UTC").unwrap().zone, Some(&b"UTC"[..]));
        assert_eq!(times(b"Sat|Sun").unwrap().zone, None);
    }

    #[test]
    fn the_last_day() {
        let last = |value: &'static str| times(value.as_bytes()).unwrap().last_day();
        assert_eq!(last("2026-11-26"), Some(20_783));
        assert_eq!(last("2026-11-24..2026-11-26|2026-11-25"), Some(20_783));
        assert_eq!(last("2026-11-26/2200-0600"), Some(20_784));
        assert_eq!(last("2026-11-26/0800-1800"), Some(20_783));
        assert_eq!(last("2026-11-26|Mon"), None);
        assert_eq!(last("0800-1800"), None);
    }

    /// Between two edges it is all the same, so these are where to look.
    #[test]
    fn edges_are_where_it_begins_and_no_longer_is() {
        let edges = |value: &'static str| times(value.as_bytes()).unwrap().edges();
        assert_eq!(edges("Mon-Fri"), (vec![], vec![]));
        assert_eq!(
            edges("Mon/0800-1800|2200-0600"),
            (vec![], vec![480, 1080, 1320, 360])
        );
        assert_eq!(
            edges("2026-11-24..2026-11-26|2026-12-24/0000-2400"),
            (vec![20_781, 20_784, 20_811, 20_812], vec![0, 1440])
        );
    }

    #[test]
    fn what_is_no_time() {
        for wrong in [
            "",
            "|",
            "Mon|",
            "Mon/",
            "Foo",
            "0800",
            "0800-0800",
            "2400-0100",
            "0860-0900",
            "0860-1000",
            "0800-2401",
            "0800-2500",
            "2400-0800",
            "0800-1800x",
            "08:00-18:00",
            "+800-1800",
            "08-1-1800",
            "0800-18+0",
            "0800-",
            "-0800",
            "2026-+1-01",
            "8-18",
            "UTC",
            "Mon-Foo",
            "2026-12-26..2026-12-24",
            "Mon/UTC|Tue",
            "Mon/../etc",
            "Mon//etc",
            "Mon/0800-1800/",
            "Mon/Tue",
            "0800-1800/Mon",
        ] {
            assert!(times(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }
}
