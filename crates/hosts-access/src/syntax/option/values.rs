//! The values that options take, from their text: numbers, levels, names, limits, durations.

use crate::decision::Severity;
use crate::text::{after_blanks, find_outside_brackets, is_blank, trim, whole_signed, whole_unsigned};

/// `[facility.]level`, as numbers of `<syslog.h>`. Without a facility, the daemon's own is used. The
/// error is the word that is neither.
pub fn severity(value: &[u8]) -> Result<Severity, &[u8]> {
    const FACILITIES: [(&str, u32); 17] = [
        ("kern", 0),
        ("user", 1),
        ("mail", 2),
        ("daemon", 3),
        ("auth", 4),
        ("lpr", 6),
        ("news", 7),
        ("uucp", 8),
        ("cron", 9),
        ("local0", 16),
        ("local1", 17),
        ("local2", 18),
        ("local3", 19),
        ("local4", 20),
        ("local5", 21),
        ("local6", 22),
        ("local7", 23),
    ];
    const LEVELS: [(&str, u32); 8] = [
        ("emerg", 0),
        ("alert", 1),
        ("crit", 2),
        ("err", 3),
        ("warning", 4),
        ("notice", 5),
        ("info", 6),
        ("debug", 7),
    ];
    fn find<'w>(table: &[(&str, u32)], word: &'w [u8]) -> Result<u32, &'w [u8]> {
        let entry = table
            .iter()
            .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(word));
        entry.map(|(_, number)| *number).ok_or(word)
    }
    let (facility, level) = match find_outside_brackets(value, b'.') {
        Some(at) => (find(&FACILITIES, &value[..at])? << 3, &value[at + 1..]),
        None => (0, value),
    };
    Ok(Severity(facility | find(&LEVELS, level)?))
}

/// An octal mask up to 0777.
pub fn umask(value: &[u8]) -> Option<u32> {
    whole_unsigned(value, 8).filter(|mask| *mask <= 0o777)
}

/// Seconds to linger, 0 or more.
pub fn linger(value: &[u8]) -> Option<u32> {
    whole_signed(value).and_then(|n| u32::try_from(n).ok())
}

/// An ident timeout in seconds, 1 or more.
pub fn timeout(value: &[u8]) -> Option<u32> {
    linger(value).filter(|n| *n > 0)
}

/// A change of the nice value; 10 where none is given.
pub fn nice(value: Option<&[u8]>) -> Option<i32> {
    value.map_or(Some(10), whole_signed)
}

/// A variable's name and value; the value is trimmed and may be empty.
pub fn variable(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|b| is_blank(*b)).unwrap_or(value.len());
    (&value[..end], trim(&value[end..]))
}

/// `user[.group]`
pub fn user_and_group(value: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'.', value) {
        Some(at) => (&value[..at], Some(&value[at + 1..])),
        None => (value, None),
    }
}

/// How many connections in what time (`limit`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limit {
    /// So many,
    pub count: u32,
    /// in so many seconds,
    pub seconds: u64,
    /// and so many at once.
    pub burst: u32,
    /// Whose connections are counted together.
    pub per: Source,
}

/// How many connections at once (`max`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Max {
    /// So many.
    pub count: u32,
    /// Whose connections are counted together; everybody's where there is nothing.
    pub per: Option<Source>,
}

/// Whose connections are counted together: those of addresses that begin with the same bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source {
    /// So many of an IPv4 address.
    pub v4: u8,
    /// So many of an IPv6 address.
    pub v6: u8,
}

impl Default for Source {
    fn default() -> Self {
        Source { v4: 32, v6: 64 }
    }
}

/// `N/PERIOD [burst B] [per /L4 [/L6]]`
///
/// ```
/// use hosts_access::syntax::option::limit;
/// let limit = limit(b"5/10minutes burst 2 per /24").unwrap();
/// assert_eq!((limit.count, limit.seconds, limit.burst), (5, 600, 2));
/// assert_eq!((limit.per.v4, limit.per.v6), (24, 64));
/// ```
pub fn limit(value: &[u8]) -> Option<Limit> {
    let mut rest = value;
    let rate = word(&mut rest)?;
    let slash = memchr::memchr(b'/', rate)?;
    let count = positive(&rate[..slash])?;
    let seconds = period(&rate[slash + 1..])?;
    let burst = match is_next(&mut rest, b"burst") {
        true => positive(word(&mut rest)?)?,
        false => count,
    };
    let per = per(&mut rest)?.unwrap_or_default();
    word(&mut rest).is_none().then_some(Limit {
        count,
        seconds,
        burst,
        per,
    })
}

/// `N [per /L4 [/L6]]` or `N total`
pub fn max(value: &[u8]) -> Option<Max> {
    let mut rest = value;
    let count = positive(word(&mut rest)?)?;
    let per = match is_next(&mut rest, b"total") {
        true => None,
        false => Some(per(&mut rest)?.unwrap_or_default()),
    };
    word(&mut rest).is_none().then_some(Max { count, per })
}

/// A duration in seconds as people write it: `90s`, `30m`, `2h`, `7d`, `1w`, or several together, `1h30m`.
pub fn duration(value: &[u8]) -> Option<u64> {
    let mut seconds = 0u64;
    let mut rest = value;
    while !rest.is_empty() {
        let digits = rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (number, after) = rest.split_at(digits);
        let number: u64 = std::str::from_utf8(number).ok()?.parse().ok()?;
        let (unit, after) = after.split_first()?;
        let unit = match unit.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 7 * 86_400,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = after;
    }
    (seconds > 0).then_some(seconds)
}

/// Takes the next word, if there is one.
fn word<'t>(rest: &mut &'t [u8]) -> Option<&'t [u8]> {
    let text = after_blanks(rest);
    let end = text.iter().position(|b| is_blank(*b)).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    *rest = after;
    (!word.is_empty()).then_some(word)
}

/// Takes the next word if it is this one.
fn is_next(rest: &mut &[u8], wanted: &[u8]) -> bool {
    let mut after = *rest;
    let is_it = word(&mut after).is_some_and(|word| word.eq_ignore_ascii_case(wanted));
    if is_it {
        *rest = after;
    }
    is_it
}

fn positive(digits: &[u8]) -> Option<u32> {
    let number = digits.iter().try_fold(0u32, |number, byte| {
        let digit = byte.wrapping_sub(b'0');
        let number = number.checked_mul(10)?.checked_add(digit.into())?;
        (digit < 10).then_some(number)
    });
    number.filter(|number| *number > 0)
}

/// `minute`, or several: `10minutes`.
fn period(text: &[u8]) -> Option<u64> {
    const UNITS: [(&str, u64); 4] = [("second", 1), ("minute", 60), ("hour", 3_600), ("day", 86_400)];
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let number = match number {
        [] => 1,
        number => positive(number)?,
    };
    let unit = unit
        .strip_suffix(b"s")
        .or(unit.strip_suffix(b"S"))
        .unwrap_or(unit);
    let (_, seconds) = UNITS
        .iter()
        .find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(unit))?;
    u64::from(number).checked_mul(*seconds)
}

/// `per /L4 [/L6]`, if it is there.
fn per(rest: &mut &[u8]) -> Option<Option<Source>> {
    if !is_next(rest, b"per") {
        return Some(None);
    }
    let length = |word: &[u8], most: u8| {
        let number = word.strip_prefix(b"/")?;
        let number: u8 = std::str::from_utf8(number).ok()?.parse().ok()?;
        (number <= most).then_some(number)
    };
    let v4 = length(word(rest)?, 32)?;
    let v6 = match word(rest) {
        Some(word) => length(word, 128)?,
        None => Source::default().v6,
    };
    Some(Some(Source { v4, v6 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_of_time() {
        for (text, seconds) in [
            ("90s", 90),
            ("2m", 120),
            ("3h", 3 * 3_600),
            ("2d", 2 * 86_400),
            ("2w", 14 * 86_400),
        ] {
            assert_eq!(duration(text.as_bytes()), Some(seconds), "{text}");
        }
    }

    #[test]
    fn limits_and_durations() {
        assert_eq!(
            limit(b"5/minute"),
            Some(Limit {
                count: 5,
                seconds: 60,
                burst: 5,
                per: Source { v4: 32, v6: 64 }
            })
        );
        assert_eq!(
            limit(b"1/2Days burst 3  per /24 /48").unwrap().per,
            Source { v4: 24, v6: 48 }
        );
        for wrong in [
            "",
            "5",
            "5/",
            "/minute",
            "0/minute",
            "5/fortnight",
            "5/0minutes",
            "5/minute burst",
            "5/minute burst 0",
            "5/minute per",
            "5/minute per 24",
            "5/minute per /33",
            "5/minute per /24 /129",
            "5/minute x",
            "-5/minute",
            "+5/minute",
            "5/minute per /24 /48 /1",
        ] {
            assert_eq!(limit(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(
            max(b"5"),
            Some(Max {
                count: 5,
                per: Some(Source::default())
            })
        );
        assert_eq!(
            max(b"100 total"),
            Some(Max {
                count: 100,
                per: None
            })
        );
        assert_eq!(max(b"5 per /24").unwrap().per, Some(Source { v4: 24, v6: 64 }));
        for wrong in ["", "0", "5 all", "5 total x", "5 per", "x"] {
            assert_eq!(max(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(duration(b"1h30m"), Some(5_400));
        assert_eq!(duration(b"7d"), Some(604_800));
        for wrong in ["", "h", "5", "0s", "5x", "99999999999999999999d", "1h-1m"] {
            assert_eq!(duration(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn severities() {
        assert_eq!(severity(b"auth.Info"), Ok(Severity(38)));
        assert_eq!(severity(b"local7.debug"), Ok(Severity(191)));
        assert_eq!(severity(b"notice"), Ok(Severity(5)));
        assert_eq!(severity(b"auth"), Err(&b"auth"[..]));
        assert_eq!(severity(b"x.y"), Err(&b"x"[..]));
    }
}
