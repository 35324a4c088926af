//! Small readings of bytes as C's library reads them, which the language was defined by.
//!
//! Not for anything that knows what a rule is.

/// What C calls `strerror`: the error without Rust's note of its number.
pub fn strerror(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// Is it short enough for a plain loop? A search by vectors costs so much before its first byte.
#[inline]
fn is_short(text: &[u8]) -> bool {
    text.len() <= 32
}

/// Where the first of either of two bytes is.
#[inline]
pub(crate) fn find_either(text: &[u8], [one, other]: [u8; 2]) -> Option<usize> {
    match is_short(text) {
        true => text.iter().position(|byte| *byte == one || *byte == other),
        false => memchr::memchr2(one, other, text),
    }
}

/// What a byte is to the patterns, a bit each: one look at a token tells what need not be looked for in it.
pub(crate) mod class {
    /// Separates tokens of a list.
    pub(crate) const SEPARATOR: u8 = 1;
    /// `*` and `?`.
    pub(crate) const WILDCARD: u8 = 2;
    /// `@`
    pub(crate) const AT: u8 = 4;
    /// `/`
    pub(crate) const SLASH: u8 = 8;
    /// Neither a digit nor a dot nor a slash: the token is tried against names too.
    pub(crate) const NAME: u8 = 16;

    pub(super) const OF: [u8; 256] = {
        let mut all = [NAME; 256];
        let mut byte = 0u8;
        loop {
            let class = &mut all[byte as usize];
            match byte {
                b',' | b' ' | b'\t' | b'\r' | b'\n' => *class |= SEPARATOR,
                b'*' | b'?' => *class |= WILDCARD,
                b'@' => *class |= AT,
                b'/' => *class = SLASH,
                b'0'..=b'9' | b'.' => *class = 0,
                _ => {}
            }
            if byte == u8::MAX {
                break all;
            }
            byte += 1;
        }
    };

    /// All that there is in the text.
    #[inline]
    pub(crate) fn seen(text: &[u8]) -> u8 {
        text.iter().fold(0, |seen, byte| seen | OF[usize::from(*byte)])
    }
}

/// The characters that separate tokens of a list.
#[inline]
pub fn is_separator(byte: u8) -> bool {
    class::OF[usize::from(byte)] & class::SEPARATOR != 0
}

/// The characters that count as blank in empty lines and after option names.
pub(crate) fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// What C's `isspace` takes for white space.
pub(crate) fn is_white_space(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, 0x0b | 0x0c)
}

/// `text` without the blanks at its beginning.
pub(crate) fn after_blanks(text: &[u8]) -> &[u8] {
    let start = text.iter().position(|b| !is_blank(*b)).unwrap_or(text.len());
    &text[start..]
}

/// `text` without white space at either end.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let mut text = trim_start(text);
    while let [rest @ .., last] = text
        && is_white_space(*last)
    {
        text = rest;
    }
    text
}

/// The same at its beginning alone.
pub(crate) fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_white_space(*first)
    {
        text = rest;
    }
    text
}

/// The position of the first `delimiter` outside square brackets. Brackets are only counted: an
/// unbalanced one hides every delimiter after it.
pub fn find_outside_brackets(text: &[u8], delimiter: u8) -> Option<usize> {
    // Mostly there are none before it.
    let first = if is_short(text) {
        let stops = |byte: &u8| *byte == delimiter || matches!(byte, b'[' | b']');
        text.iter().position(stops)?
    } else {
        memchr::memchr3(delimiter, b'[', b']', text)?
    };
    let mut depth = 0i64;
    for (at, &byte) in text.iter().enumerate().skip(first) {
        match byte {
            b'[' => depth += 1,
            b']' => depth -= 1,
            _ if byte == delimiter && depth == 0 => return Some(at),
            _ => {}
        }
    }
    None
}

/// What C's `strtol` family reads at the start of `text`: white space, sign, digits of `radix`,
/// saturating. Returns the magnitude, whether it was negative, and how many bytes were read; nothing
/// where there is no digit.
fn leading_number(text: &[u8], radix: u64) -> Option<(u64, bool, usize)> {
    let start = text.iter().position(|b| !is_white_space(*b))?;
    let negative = text[start] == b'-';
    let sign = start + usize::from(negative || text[start] == b'+');
    let mut value = 0u64;
    let mut at = sign;
    while let Some(digit) = text
        .get(at)
        .map(|b| u64::from(b.wrapping_sub(b'0')))
        .filter(|d| *d < radix)
    {
        value = value.saturating_mul(radix).saturating_add(digit);
        at += 1;
    }
    (at > sign).then_some((value, negative, at))
}

/// The unsigned number that is the whole of `text`, as `%u` (radix 10) or `%o` (radix 8) converts it:
/// 64 bits, negated after a minus sign, cut to 32 bits.
pub(crate) fn whole_unsigned(text: &[u8], radix: u64) -> Option<u32> {
    let (value, negative, read) = leading_number(text, radix)?;
    let value = if negative && value != u64::MAX {
        value.wrapping_neg()
    } else {
        value
    };
    // `as`: C cuts to `unsigned int` the same way.
    (read == text.len()).then_some(value as u32)
}

/// The signed decimal that is the whole of `text`, as `%d` converts it.
pub(crate) fn whole_signed(text: &[u8]) -> Option<i32> {
    let (value, negative, read) = leading_number(text, 10)?;
    (read == text.len()).then_some(cut_signed(value, negative))
}

/// The number C's `atoi` reads at the start of `text`; 0 where there is none.
pub fn atoi(text: &[u8]) -> i32 {
    leading_number(text, 10).map_or(0, |(value, negative, _)| cut_signed(value, negative))
}

/// `strtol`'s clamping to 64 bits, then C's cut to `int`.
fn cut_signed(value: u64, negative: bool) -> i32 {
    let clamped = if negative {
        i64::try_from(value).map_or(i64::MIN, |v| -v)
    } else {
        i64::try_from(value).unwrap_or(i64::MAX)
    };
    clamped as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_c_reads_them() {
        assert_eq!(whole_unsigned(b"+022", 10), Some(22));
        assert_eq!(whole_unsigned(b"22x", 10), None);
        assert_eq!(whole_unsigned(b"4294967318", 10), Some(22));
        assert_eq!(whole_unsigned(b"777", 8), Some(0o777));
        assert_eq!(whole_unsigned(b"78", 8), None);
        assert_eq!(whole_unsigned(b"", 10), None);
        assert_eq!(whole_signed(b"-5"), Some(-5));
        assert_eq!(atoi(b"24abc"), 24);
        assert_eq!(atoi(b"abc"), 0);
    }

    #[test]
    fn unbalanced_brackets_hide_delimiters() {
        assert_eq!(find_outside_brackets(b"a[b:c]:d", b':'), Some(6));
        assert_eq!(find_outside_brackets(b"a[b:c:d", b':'), None);
        assert_eq!(find_outside_brackets(b"a]b:c", b':'), None);
    }
}
