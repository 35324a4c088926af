//! Passing quickly over lines that cannot matter, in a table that is scanned once.
//!
//! Deny lists of a million lines are nearly all `daemon: address`. Such a line is looked at here 16
//! bytes at a time, and passed over where it is certain that it does not match, logs nothing and looks
//! nothing up. Whatever is not certain goes to the evaluator; nothing is ever matched here.

use crate::address::reduce_mapped;
use crate::matching::{Matching, daemons_match};
use crate::request::{Request, Side};

/// As many bytes as are looked at together.
const WIDTH: usize = 16;
/// One of each byte.
const ONES: u128 = u128::MAX / 0xff;
const HIGH: u128 = ONES * 0x80;

/// What is known of the request, in the form that lines are compared with.
pub(crate) struct Skipper {
    client: Option<Client>,
    /// The daemon list of the line before: most lines have the same.
    last: Daemons,
    seen: [Daemons; 64],
}

/// The client's address as text.
#[derive(Clone, Copy)]
enum Client {
    /// Not one that lines can be compared with here.
    Odd,
    /// It, from the lowest byte up. `first_octet` counts the bytes to the first dot of a dotted quad;
    /// other addresses lie in no IPv4 network.
    Text {
        word: u128,
        length: usize,
        first_octet: Option<usize>,
    },
}

/// What is known of a daemon list: of the text up to the first colon, and a blank after it.
#[derive(Clone, Copy, Default)]
struct Daemons {
    word: u128,
    mask: u128,
    length: usize,
    state: DaemonState,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum DaemonState {
    /// To be judged line by line.
    #[default]
    Unclear,
    Matches,
    Differs,
}

impl Skipper {
    /// Nothing is known yet.
    pub(crate) fn new() -> Self {
        Skipper {
            client: None,
            last: Daemons::default(),
            seen: [Daemons::default(); 64],
        }
    }

    /// Passes over lines from `at` on; returns where it stopped and how many lines it passed.
    pub(crate) fn pass(
        &mut self,
        text: &[u8],
        mut at: usize,
        request: &mut Request<'_>,
        with: &mut impl Matching,
    ) -> (usize, u32) {
        let mut lines = 0;
        while let Some(word) = load(text, at) {
            // The usual answer lets the processor start on the client before the daemons are compared.
            if word & self.last.mask != self.last.word || self.last.mask == 0 {
                self.last = self.daemons(word, request, with);
            }
            let clients = at + self.last.length;
            let end = match self.last.state {
                DaemonState::Matches => {
                    let client = self.client(request);
                    client
                        .end_of_line(text, clients)
                        .or_else(|| client.end_of_named(text, clients, request))
                }
                DaemonState::Differs => end_of_line(text, clients),
                DaemonState::Unclear => None,
            };
            let Some(end) = end else { break };
            at = end;
            lines += 1;
        }
        (at, lines)
    }

    fn client(&mut self, request: &mut Request<'_>) -> Client {
        match self.client {
            Some(client) => client,
            None => *self.client.insert(Client::of(request)),
        }
    }

    /// The daemon list at the start of a line.
    fn daemons(&mut self, word: u128, request: &mut Request<'_>, with: &mut impl Matching) -> Daemons {
        let Some(colon) = first(equal(word, b':')) else {
            return Daemons::default();
        };
        let has_blank = colon + 1 < WIDTH && word.to_le_bytes()[colon + 1] == b' ';
        let length = colon + 1 + usize::from(has_blank);
        let mask = below(length);
        let folded = (word & mask) as u64 ^ ((word & mask) >> 64) as u64;
        let slot = (folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58) as usize;
        let seen = &mut self.seen[slot];
        if seen.mask != mask || seen.word != word & mask {
            let state = DaemonState::of(&word.to_le_bytes()[..colon], request, with);
            *seen = Daemons {
                word: word & mask,
                mask,
                length,
                state,
            };
        }
        *seen
    }
}

impl DaemonState {
    /// Tries a daemon list, if that is sure to look nothing up.
    #[cold]
    fn of(list: &[u8], request: &mut Request<'_>, with: &mut impl Matching) -> Self {
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b" ,\t.-_+*?".contains(b);
        if !list.iter().all(is_plain) || list.is_empty() {
            DaemonState::Unclear
        } else if daemons_match(list, request, with) {
            DaemonState::Matches
        } else {
            DaemonState::Differs
        }
    }
}

/// Where the line ends, if it is a plain one.
#[inline]
fn end_of_line(text: &[u8], at: usize) -> Option<usize> {
    let end = at + memchr::memchr2(b'\n', 0, text.get(at..)?)?;
    (text[end] == b'\n' && text[end - 1] != b'\\').then_some(end + 1)
}

impl Client {
    #[cold]
    fn of(request: &mut Request<'_>) -> Self {
        let address = request.parsed_address(Side::Client);
        let text = reduce_mapped(&address.text);
        if text.len() >= WIDTH {
            // A token of digits, dots and slashes has no part in an IPv6 address, but may be the start
            // of something stranger.
            return match address.ipv6 {
                Some(_) => Client::Text {
                    word: 0,
                    length: usize::MAX,
                    first_octet: None,
                },
                None => Client::Odd,
            };
        }
        let first_octet = match address.quad {
            Some(_) if text.starts_with(b"0") => return Client::Odd,
            Some(_) => memchr::memchr(b'.', text).map(|dot| dot + 1),
            None => None,
        };
        let mut word = [0; WIDTH];
        word[..text.len()].copy_from_slice(text);
        Client::Text {
            word: u128::from_le_bytes(word),
            length: text.len(),
            first_octet,
        }
    }

    /// Where the line ends whose client list begins at `at`, if that list is a single address, prefix or
    /// network that does not match this client.
    #[inline]
    fn end_of_line(self, text: &[u8], at: usize) -> Option<usize> {
        let Client::Text {
            word: address,
            length: address_length,
            first_octet,
        } = self
        else {
            return None;
        };
        let word = load(text, at)?;
        let length = first(!in_range(word, b'.', b'9') & HIGH)?;
        let stop = at + length;
        if length == 0 || text[stop] != b'\n' || !text[at].is_ascii_digit() {
            return None;
        }
        let differs = |length| (word ^ address) & below(length) != 0;
        if let Some(slash) = first(equal(word, b'/') & below(length)) {
            // A network of 8 bits or more does not hold an address with another first octet.
            let is_8_or_more = matches!(
                text[at + slash + 1..stop],
                [b'8' | b'9'] | [b'1'..=b'3', b'0'..=b'9']
            );
            let holds_it = first_octet.is_some_and(|octet| text[at] == b'0' || !differs(octet));
            return (is_8_or_more && !holds_it).then_some(stop + 1);
        }
        // The whole address or, with a dot at the end, a prefix of it.
        let is_prefix = text[stop - 1] == b'.';
        (differs(length) || (!is_prefix && length != address_length)).then_some(stop + 1)
    }
}

impl Client {
    /// The same for a single name or domain, once the client's name is known.
    fn end_of_named(self, text: &[u8], at: usize, request: &Request<'_>) -> Option<usize> {
        let Client::Text {
            first_octet: Some(_), ..
        } = self
        else {
            return None;
        };
        let name = request.looked_up_name(Side::Client)?;
        let end = name_end(text, at)?;
        let token = &text[at..end];
        if text[end] != b'\n' {
            return None;
        }
        let is_word = [&b"ALL"[..], b"KNOWN", b"LOCAL", b"EXCEPT"]
            .iter()
            .any(|w| w.eq_ignore_ascii_case(token));
        let tail = name.len().checked_sub(token.len()).map(|from| &name[from..]);
        // Without a letter it may be a part of the address.
        let may_match = is_word
            || !token.iter().any(u8::is_ascii_alphabetic)
            || token.last().is_none_or(|last| *last == b'.')
            || tail.is_some_and(|tail| tail.eq_ignore_ascii_case(token))
            || name.first() == Some(&b':');
        (!may_match).then_some(end + 1)
    }
}

/// Where the letters, digits, dots and hyphens that begin at `at` end, if that is not near the end of
/// the text.
#[inline]
fn name_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let word = load(text, at)?;
        // Setting this bit makes letters small; what it makes of other characters is looked at before.
        let small = word | (ONES * 0x20);
        let allowed = in_range(word, b'-', b'.') | in_range(word, b'0', b'9') | in_range(small, b'a', b'z');
        match first(!allowed & HIGH) {
            Some(length) => return Some(at + length),
            None => at += WIDTH,
        }
    }
}

#[inline]
fn load(text: &[u8], at: usize) -> Option<u128> {
    Some(u128::from_le_bytes(*text.get(at..)?.first_chunk::<WIDTH>()?))
}

/// The high bit of each byte that equals `byte`.
#[inline]
fn equal(word: u128, byte: u8) -> u128 {
    let differences = word ^ (ONES * u128::from(byte));
    !(((differences & !HIGH) + !HIGH) | differences) & HIGH
}

/// The high bit of each byte from `low` to `high`, which are ASCII.
#[inline]
fn in_range(word: u128, low: u8, high: u8) -> u128 {
    let seven_bits = word & !HIGH;
    let from_low = seven_bits + ONES * u128::from(0x80 - low);
    let above_high = seven_bits + ONES * u128::from(0x7f - high);
    from_low & !above_high & !word & HIGH
}

/// The index of the first byte whose high bit is set.
#[inline]
fn first(high_bits: u128) -> Option<usize> {
    (high_bits != 0).then(|| high_bits.trailing_zeros() as usize / 8)
}

/// A mask of the lowest `bytes` bytes, at most all of them.
#[inline]
fn below(bytes: usize) -> u128 {
    if bytes >= WIDTH {
        u128::MAX
    } else {
        (1 << (bytes * 8)) - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_told_apart_side_by_side() {
        for byte in 0..=255u8 {
            let word =
                u128::from_le_bytes([b'1', byte, b':', b'.', byte, 0, 255, 128, 1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(
                in_range(word, b'.', b'9') >> 15 & 1 == 1,
                (b'.'..=b'9').contains(&byte),
                "{byte}"
            );
            assert_eq!(equal(word, b':') >> 15 & 1 == 1, byte == b':');
        }
        assert_eq!(below(16), u128::MAX);
        assert_eq!(below(1), 0xff);
    }
}
