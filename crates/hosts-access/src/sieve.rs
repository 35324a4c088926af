//! Which tokens certainly do not match a client, told without reading them as patterns.
//!
//! Long tables and `/file` patterns are nearly all addresses, networks, host names and domains, for which a
//! look at their first and last bytes is enough. There are few branches here: which kind of token comes
//! next cannot be foreseen, and a wrong guess costs more than all the comparisons.

use crate::address::reduce_mapped;
use crate::request::{Request, Side};
use crate::syntax::pattern::KEYWORDS;

/// The bytes looked at together. A token begins in its first 17 bytes.
pub(crate) type Window = [u8; 64];
/// How long a token may be.
const LONGEST: usize = 32;
/// How short a name may be: none of the keywords is taken for one.
const SHORTEST: usize = 8;
const _: () = {
    let mut at = 0;
    while at < KEYWORDS.len() {
        assert!(KEYWORDS[at].len() < SHORTEST);
        at += 1;
    }
};
/// Makes letters small, eight bytes at once. What it makes of other bytes may only let more through.
const SMALL: u64 = 0x2020_2020_2020_2020;

/// What is known of a client, in the form that tokens are compared with.
#[derive(Debug)]
pub(crate) struct Sieve {
    address: Text,
    name: Option<Text>,
}

/// A string that patterns are compared with. To match it, a pattern without wildcards must
/// - begin with a dot and be the end of it;
/// - or end with a dot and be the beginning of it, which takes in its first dot;
/// - or be the whole of it.
#[derive(Debug)]
struct Text {
    start: u64,
    /// The bytes of `start` that every pattern of the second and third kind takes in.
    start_mask: u64,
    end: u64,
}

impl Text {
    fn new(text: &[u8]) -> Self {
        let length = text.len().min(8);
        let (mut start, mut end) = ([0; 8], [0; 8]);
        start[..length].copy_from_slice(&text[..length]);
        end[8 - length..].copy_from_slice(&text[text.len() - length..]);
        let taken_in = memchr::memchr(b'.', text).map_or(text.len(), |dot| dot + 1);
        Text {
            start: u64::from_le_bytes(start) | SMALL,
            start_mask: u64::MAX >> (64 - 8 * taken_in.clamp(1, 8)),
            end: u64::from_le_bytes(end) | SMALL,
        }
    }

    #[inline(always)]
    fn may_begin(&self, start: u64) -> bool {
        (start ^ self.start) & self.start_mask == 0
    }
}

impl Sieve {
    /// Of what is known of the client by now; nothing while that is too little.
    fn new(request: &Request) -> Option<Self> {
        let address = request.looked_up(Side::Client)?;
        let text = reduce_mapped(&address.text);
        // Networks are told by the first number of the address, which must be written as it usually is.
        if address.quad.is_some() && !address.is_canonical {
            return None;
        }
        let name = request.looked_up_name(Side::Client);
        Some(Sieve {
            address: Text::new(text),
            name: name.map(|name| Text::new(reduce_mapped(name))),
        })
    }

    /// Takes in what was found out of the client since.
    pub(crate) fn renew(sieve: &mut Option<Self>, request: &Request) {
        let is_new = |sieve: &Self| sieve.name.is_none() && request.looked_up_name(Side::Client).is_some();
        if sieve.as_ref().is_none_or(is_new) {
            *sieve = Sieve::new(request);
        }
    }

    /// Where the address or the beginning of one ends that stands at `at`, if it is excluded. It is never
    /// tried against the name.
    #[inline(always)]
    pub(crate) fn after_address(&self, text: &Window, at: usize) -> Option<usize> {
        let word = u128::from_le_bytes(*text.get(at..)?.first_chunk()?);
        let length = first(!digits_and_dots(word))?;
        // `as`: the first bytes.
        let is_number = (word as u8).wrapping_sub(b'1') < 9;
        let may_match = self.address.may_begin(word as u64 | SMALL);
        (is_number & !may_match).then_some(at + length)
    }

    /// The same with a mask of 8 bits or more after it: such a network holds no address with another first number.
    #[inline(always)]
    pub(crate) fn after_network(&self, text: &Window, at: usize) -> Option<usize> {
        let end = self.after_address(text, at)?;
        let [slash, a, b, ..] = text.get(end..)?.first_chunk::<4>()?;
        let in_two = (*slash == b'/') & (a.wrapping_sub(b'1') < 3) & b.is_ascii_digit();
        let in_one = (*slash == b'/') & (a | 1 == b'9');
        Some(end + 3 * usize::from(in_two) + 2 * usize::from(in_one & !in_two))
    }

    /// Is what stands from `at` to `end` a host name or a domain, and excluded?
    #[inline(always)]
    pub(crate) fn excludes_name(&self, text: &Window, at: usize, end: usize) -> bool {
        let Some(name) = &self.name else { return false };
        let length = end.wrapping_sub(at);
        // Neither a keyword, nor a domain that is not compared whole, nor too long.
        if !(SHORTEST..=LONGEST).contains(&length) || end > text.len() || at + LONGEST > text.len() {
            return false;
        }
        let start = word(text, at) | SMALL;
        let last = word(text, end - 8) | SMALL;
        let may_match = self.address.may_begin(start)
            | name.may_begin(start)
            | (last == self.address.end)
            | (last == name.end);
        !may_match && is_name(text, at, length)
    }
}

/// Are there only letters, digits, dots and hyphens?
#[inline(always)]
fn is_name(text: &Window, at: usize, length: usize) -> bool {
    /// As many ones as there are bytes to look at come from the middle.
    static ONES_THEN_ZEROS: Window = {
        let mut bytes = [0; 64];
        bytes
            .first_chunk_mut::<LONGEST>()
            .unwrap()
            .copy_from_slice(&[0xff; LONGEST]);
        bytes
    };
    let (mut bytes, mut chosen) = ([0; LONGEST], [0; LONGEST]);
    bytes.copy_from_slice(&text[at..at + LONGEST]);
    chosen.copy_from_slice(&ONES_THEN_ZEROS[LONGEST - length..2 * LONGEST - length]);
    // Without branches and over a number of bytes that is plain to see, so that compilers look at many of them at
    // once. Signed bytes are compared most easily.
    let from = |byte: u8, low: u8| byte.wrapping_sub(low).wrapping_add(0x80).cast_signed();
    let mut others = false;
    for at in 0..LONGEST {
        let byte = bytes[at];
        let is_number = (from(byte, b'-') <= from(b'9', b'-')) & (byte != b'/');
        let is_letter = from(byte | 0x20, b'a') <= from(b'z', b'a');
        others |= (chosen[at] != 0) & !(is_number | is_letter);
    }
    !others
}

/// One of each byte.
const ONES: u128 = u128::MAX / 0xff;
const HIGH: u128 = ONES * 0x80;

/// The high bit of each byte that is a digit or a dot.
#[inline(always)]
fn digits_and_dots(word: u128) -> u128 {
    let seven_bits = word & !HIGH;
    let from_dot = seven_bits + ONES * u128::from(0x80 - b'.');
    let after_nine = seven_bits + ONES * u128::from(0x7f - b'9');
    let not_slash = (seven_bits ^ (ONES * u128::from(b'/'))) + ONES * 0x7f;
    from_dot & !after_nine & not_slash & !word & HIGH
}

/// The index of the first byte whose high bit is set.
#[inline(always)]
fn first(bits: u128) -> Option<usize> {
    let bits = bits & HIGH;
    (bits != 0).then(|| bits.trailing_zeros() as usize / 8)
}

/// The eight bytes from `at` on, the first of them lowest.
#[inline(always)]
fn word(text: &Window, at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&text[at..at + 8]);
    u64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_apart_side_by_side() {
        for byte in 0..=255u8 {
            let bytes = [
                b'1', byte, b'.', b'/', byte, 0, 255, 128, 1, b'9', b':', b'0', byte, b'-', b'a', byte,
            ];
            let found = digits_and_dots(u128::from_le_bytes(bytes));
            for (at, byte) in bytes.into_iter().enumerate() {
                let is = byte.is_ascii_digit() || byte == b'.';
                assert_eq!(found >> (8 * at) & 0xff, if is { 0x80 } else { 0 }, "{byte}");
            }
            let mut window = [b'/'; 64];
            for (at, length) in [(0, 8), (3, 20), (16, 32)] {
                window[at..at + length].copy_from_slice(&b"ab.cd-efgh.jk.19.mnop.XYZ-AQrst."[..length]);
                assert!(is_name(&window, at, length));
                for place in [at, at + 7, at + length - 1] {
                    let kept = std::mem::replace(&mut window[place], byte);
                    let is = byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
                    assert_eq!(is_name(&window, at, length), is, "{byte}");
                    window[place] = kept;
                }
                window[at..at + length].fill(b'/');
            }
        }
    }
}
