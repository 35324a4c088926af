//! The MaxMind DB format: a binary search tree over the bits of addresses, and the records its leaves point to.
//!
//! Read here and not by a library for what those cannot do: look one address up in a file with a few small reads, for
//! processes that decide once and may neither map a file nor read eight megabytes. It takes only what rules ask for.
//! Everything in a database may be wrong; then there is an error, after a bounded number of steps.

use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::FileExt;

/// What stands before the metadata.
const MARKER: &[u8] = b"\xab\xcd\xefMaxMind.com";
/// The metadata begin no farther than this from the end.
const METADATA: u64 = 128 * 1024;
/// Zeros between the tree and the records.
const SEPARATOR: u64 = 16;
/// How many values a look-up may step over: hundreds in the richest records.
const STEPS: u32 = 20_000;

/// Where bytes come from.
pub(super) trait Source {
    /// How many there are.
    fn size(&self) -> u64;
    /// Reads as many as `out` holds.
    fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()>;
}

impl Source for &[u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    #[inline]
    fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let end = start.saturating_add(out.len());
        out.copy_from_slice(self.get(start..end).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A file, with the piece that was read last.
pub(super) struct Pieces {
    file: File,
    size: u64,
    piece: Box<[u8; PIECE]>,
    at: u64,
    filled: usize,
}

const PIECE: usize = 4096;
/// Where pieces begin: what a record refers to often stands a little before it.
const STEP: usize = 1024;

impl Pieces {
    pub fn new(file: File, size: u64) -> Self {
        Pieces {
            file,
            size,
            piece: Box::new([0; PIECE]),
            at: 0,
            filled: 0,
        }
    }
}

impl Pieces {
    /// All of it.
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Source for Pieces {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()> {
        if out.len() > PIECE - STEP {
            return self.file.read_exact_at(out, at);
        }
        let is_in = |at: u64, piece: u64, filled: usize| {
            at >= piece && at + out.len() as u64 <= piece + filled as u64
        };
        if !is_in(at, self.at, self.filled) {
            self.at = at - at % STEP as u64;
            self.filled = self.file.read_at(&mut self.piece[..], self.at)?;
            if !is_in(at, self.at, self.filled) {
                self.filled = 0;
                return self.file.read_exact_at(out, at);
            }
        }
        let start = (at - self.at) as usize;
        out.copy_from_slice(&self.piece[start..start + out.len()]);
        Ok(())
    }
}

/// What the metadata say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    nodes: u64,
    /// Bits of a record, two of which make a node.
    record: u64,
    is_v6: bool,
    /// When it was made, in seconds since 1970.
    pub built: u64,
    /// The node that IPv4 addresses start from, or what stands in its place.
    v4_root: u64,
    data: u64,
    data_end: u64,
}

/// So many nodes are visited: some times as many as the largest database has, whose branches may be met several times.
const MOST_VISITED: u32 = 1 << 28;

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("damaged database: {what}"))
}

impl Layout {
    pub fn read(source: &mut impl Source) -> io::Result<Layout> {
        let size = source.size();
        // The usual metadata are short.
        let mut found = None;
        for wanted in [2048, METADATA] {
            let mut end = vec![0; wanted.min(size) as usize];
            source.read(size - end.len() as u64, &mut end)?;
            let at = memchr::memrchr_iter(MARKER[0], &end).find(|at| end[*at..].starts_with(MARKER));
            found = at.map(|at| size - (end.len() - at) as u64);
            if found.is_some() {
                break;
            }
        }
        let marker = found.ok_or_else(|| bad("it has no metadata"))?;
        let start = marker + MARKER.len() as u64;
        let keys = [
            "binary_format_major_version",
            "node_count",
            "record_size",
            "ip_version",
            "build_epoch",
        ];
        let mut decoder = Decoder::new(source, start, size);
        let places = decoder.fields(start, keys)?;
        let mut numbers = [0; 5];
        for ((number, place), key) in numbers.iter_mut().zip(places).zip(keys) {
            *number = match place.map(|place| decoder.value(place)).transpose()?.flatten() {
                Some(Value::Number(number)) => number,
                _ => return Err(bad(&format!("no {key} in its metadata"))),
            };
        }
        let [format, nodes, record, version, built] = numbers;
        if format != 2 {
            return Err(bad("its format is none we know"));
        }
        let is_v6 = match version {
            4 => false,
            6 => true,
            _ => return Err(bad("its addresses are neither IPv4 nor IPv6")),
        };
        if !matches!(record, 24 | 28 | 32) || nodes == 0 {
            return Err(bad("its tree has no shape we know"));
        }
        let data = nodes
            .checked_mul(record / 4)
            .and_then(|tree| tree.checked_add(SEPARATOR))
            .filter(|data| *data <= marker);
        let data = data.ok_or_else(|| bad("its tree is longer than it"))?;
        let mut layout = Layout {
            nodes,
            record,
            is_v6,
            built,
            v4_root: 0,
            data,
            data_end: marker,
        };
        if is_v6 {
            (layout.v4_root, _) = layout.walk(source, 0, 0, 96)?;
        }
        Ok(layout)
    }

    /// Goes on from a node by the highest bits of `bits`, no more than `most` of them, to where the tree ends: there,
    /// and how many bits that took.
    fn walk(&self, source: &mut impl Source, node: u64, bits: u128, most: u8) -> io::Result<(u64, u8)> {
        // The size of a node is known where it is read: this is where a look-up spends its time.
        match self.record {
            24 => self.walk_in(source, node, bits, most, |node: [u8; 6], right| {
                let [a, b, c, d, e, f] = node;
                u32::from_be_bytes(if right { [0, d, e, f] } else { [0, a, b, c] })
            }),
            28 => self.walk_in(source, node, bits, most, |node: [u8; 7], right| {
                // The middle byte has the highest bits of both.
                let [a, b, c, high, d, e, f] = node;
                u32::from_be_bytes(if right {
                    [high & 15, d, e, f]
                } else {
                    [high >> 4, a, b, c]
                })
            }),
            _ => self.walk_in(source, node, bits, most, |node: [u8; 8], right| {
                let [a, b, c, d, e, f, g, h] = node;
                u32::from_be_bytes(if right { [e, f, g, h] } else { [a, b, c, d] })
            }),
        }
    }

    #[inline(always)]
    fn walk_in<const SIZE: usize>(
        &self,
        source: &mut impl Source,
        mut node: u64,
        bits: u128,
        most: u8,
        child: impl Fn([u8; SIZE], bool) -> u32,
    ) -> io::Result<(u64, u8)> {
        let mut depth = 0;
        while node < self.nodes && depth < most {
            let mut bytes = [0; SIZE];
            source.read(node * SIZE as u64, &mut bytes)?;
            node = child(bytes, bits << depth >> 127 != 0).into();
            depth += 1;
        }
        Ok((node, depth))
    }

    /// Where the record of an address begins, and how many bits of the address its network has.
    pub fn find(&self, source: &mut impl Source, address: IpAddr) -> io::Result<Option<(u64, u8)>> {
        let (bits, length, root) = match address.to_canonical() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32, self.v4_root),
            IpAddr::V6(_) if !self.is_v6 => return Ok(None),
            IpAddr::V6(v6) => (v6.to_bits(), 128, 0),
        };
        let (node, depth) = self.walk(source, root, bits, length)?;
        match node {
            node if node < self.nodes => Err(bad("its tree is deeper than an address")),
            node if node == self.nodes => Ok(None),
            node => self.record_at(node).map(|at| Some((at, depth))),
        }
    }

    /// Every place where a record begins that the tree leads to, in order.
    ///
    /// # Errors
    /// Where the tree leads elsewhere.
    pub fn records(&self, source: &mut impl Source) -> io::Result<Vec<u64>> {
        let mut records = Vec::new();
        for node in 0..self.nodes {
            for bits in [0, u128::MAX] {
                let (child, _) = self.walk(source, node, bits, 1)?;
                if child > self.nodes {
                    records.push(self.record_at(child)?);
                }
            }
        }
        records.sort_unstable();
        records.dedup();
        Ok(records)
    }

    /// Where the record begins that a number in the tree stands for.
    fn record_at(&self, number: u64) -> io::Result<u64> {
        let at = (number - self.nodes)
            .checked_sub(SEPARATOR)
            .map(|at| self.data + at);
        at.filter(|at| *at < self.data_end)
            .ok_or_else(|| bad("a record is beyond its end"))
    }

    /// Visits every network of IPv4 or of IPv6 that has a record: its address, how many bits of that count, and where the
    /// record begins.
    pub fn each(
        &self,
        source: &mut impl Source,
        is_v4: bool,
        mut visit: impl FnMut(IpAddr, u8, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let (root, most) = match is_v4 {
            true => (self.v4_root, 32),
            false if self.is_v6 => (0, 128),
            false => return Ok(()),
        };
        let mut open = vec![(root, 0u128, 0u8)];
        let mut left = MOST_VISITED;
        while let Some((node, bits, depth)) = open.pop() {
            left -= 1;
            if left == 0 {
                return Err(bad("it has more networks than there can be"));
            }
            match node {
                node if node < self.nodes && depth < most => {
                    for right in [true, false] {
                        let bit = if right { 1 << 127 } else { 0 };
                        let (child, _) = self.walk(source, node, bit, 1)?;
                        open.push((child, bits | bit >> depth, depth + 1));
                    }
                }
                node if node < self.nodes => return Err(bad("its tree is deeper than an address")),
                node if node == self.nodes => {}
                node => {
                    let address = match is_v4 {
                        // `as`: the other bits are none of its.
                        true => Ipv4Addr::from_bits((bits >> 96) as u32).into(),
                        false => Ipv6Addr::from_bits(bits).into(),
                    };
                    visit(address, depth, self.record_at(node)?)?;
                }
            }
        }
        Ok(())
    }

    pub fn decoder<'s, S: Source>(&self, source: &'s mut S) -> Decoder<'s, S> {
        Decoder::new(source, self.data, self.data_end)
    }
}

/// A value of a kind that rules ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
}

/// The head of a value.
#[derive(Debug, Clone, Copy)]
struct Head {
    kind: u8,
    /// Bytes of the value, or how many values a map or array has.
    size: u64,
    /// Where the value itself begins.
    body: u64,
}

const POINTER: u8 = 1;
const TEXT: u8 = 2;
const DOUBLE: u8 = 3;
const BYTES: u8 = 4;
const UINT16: u8 = 5;
const UINT32: u8 = 6;
const MAP: u8 = 7;
const INT32: u8 = 8;
const UINT64: u8 = 9;
const UINT128: u8 = 10;
const ARRAY: u8 = 11;
const BOOLEAN: u8 = 14;
const FLOAT: u8 = 15;

/// Reads values of the section that begins at `base`, where pointers count from.
pub(super) struct Decoder<'s, S> {
    source: &'s mut S,
    base: u64,
    end: u64,
    steps: u32,
}

impl<'s, S: Source> Decoder<'s, S> {
    fn new(source: &'s mut S, base: u64, end: u64) -> Self {
        Decoder {
            source,
            base,
            end,
            steps: STEPS,
        }
    }

    fn number(&mut self, at: u64, bytes: u64) -> io::Result<u64> {
        let mut out = [0; 8];
        let end = at.checked_add(bytes).filter(|end| *end <= self.end && bytes <= 8);
        end.ok_or_else(|| bad("a value is beyond its end"))?;
        let out = &mut out[..bytes as usize];
        self.source.read(at, out)?;
        Ok(out.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The head of the value at a place, pointers not followed.
    fn head(&mut self, at: u64) -> io::Result<Head> {
        self.steps = self
            .steps
            .checked_sub(1)
            .ok_or_else(|| bad("a record never ends"))?;
        let control = self.number(at, 1)? as u8;
        let mut body = at + 1;
        let mut kind = control >> 5;
        if kind == POINTER {
            let size = u64::from(control >> 3 & 3) + 1;
            let low = self.number(body, size)?;
            let high = u64::from(control & 7);
            let to = match size {
                1 => high << 8 | low,
                2 => (high << 16 | low) + 2048,
                3 => (high << 24 | low) + 526_336,
                _ => low,
            };
            return Ok(Head {
                kind,
                size: to,
                body: body + size,
            });
        }
        if kind == 0 {
            kind = 7 + self.number(body, 1)? as u8 % 128;
            body += 1;
        }
        let size = match control & 31 {
            small @ ..29 => small.into(),
            29 => 29 + self.number(body, 1)?,
            30 => 285 + self.number(body, 2)?,
            _ => 65_821 + self.number(body, 3)?,
        };
        body += u64::from((control & 31).saturating_sub(28));
        Ok(Head { kind, size, body })
    }

    /// The head of the value at a place, or of the one it points to; and where the next value begins.
    fn resolve(&mut self, at: u64) -> io::Result<(Head, Option<u64>)> {
        let head = self.head(at)?;
        if head.kind != POINTER {
            return Ok((head, None));
        }
        let to = self.base.checked_add(head.size).filter(|to| *to < self.end);
        let target = self.head(to.ok_or_else(|| bad("a pointer leads beyond its end"))?)?;
        match target.kind {
            POINTER => Err(bad("a pointer leads to a pointer")),
            _ => Ok((target, Some(head.body))),
        }
    }

    /// Where the value behind this one begins.
    fn skip(&mut self, at: u64) -> io::Result<u64> {
        let (mut at, mut left) = (at, 1u64);
        while left > 0 {
            left -= 1;
            let head = self.head(at)?;
            at = match head.kind {
                POINTER | BOOLEAN => head.body,
                MAP => {
                    left += head.size * 2;
                    head.body
                }
                ARRAY => {
                    left += head.size;
                    head.body
                }
                TEXT | DOUBLE | BYTES | UINT16 | UINT32 | INT32 | UINT64 | UINT128 | FLOAT => {
                    head.body + head.size
                }
                _ => return Err(bad("a value of no kind we know")),
            };
        }
        Ok(at)
    }

    /// Where the values of keys are, in the map at a place; nowhere, where that is no map.
    pub fn fields<const N: usize>(&mut self, at: u64, keys: [&str; N]) -> io::Result<[Option<u64>; N]> {
        /// Longer keys are none of those that are wanted.
        const LONGEST: usize = 64;
        let mut places = [None; N];
        let (map, _) = self.resolve(at)?;
        let entries = if map.kind == MAP { map.size } else { 0 };
        let mut next = map.body;
        for _ in 0..entries {
            let (name, behind) = self.resolve(next)?;
            let end = name.body.saturating_add(name.size);
            if name.kind != TEXT || end > self.end {
                return Err(bad("a key that is no text"));
            }
            let value = behind.unwrap_or(end);
            let mut text = [0; LONGEST];
            if let Some(text) = text.get_mut(..name.size as usize) {
                self.source.read(name.body, text)?;
                for (place, key) in places.iter_mut().zip(keys) {
                    if *text == *key.as_bytes() {
                        place.get_or_insert(value);
                    }
                }
            }
            if places.iter().all(Option::is_some) {
                break;
            }
            next = self.skip(value)?;
        }
        Ok(places)
    }

    /// The value at a place; nothing, where it is of another kind.
    pub fn value(&mut self, at: u64) -> io::Result<Option<Value>> {
        /// The longest text that could be a number.
        const LONGEST: u64 = 256;
        let (head, _) = self.resolve(at)?;
        match head.kind {
            TEXT => {
                if head.size > LONGEST || head.body + head.size > self.end {
                    return Err(bad("a text that is none"));
                }
                let mut text = vec![0; head.size as usize];
                self.source.read(head.body, &mut text)?;
                let text = String::from_utf8(text).map_err(|_| bad("a text that is no UTF-8"))?;
                Ok(Some(Value::Text(text)))
            }
            UINT16 | UINT32 | UINT64 => self.number(head.body, head.size).map(|n| Some(Value::Number(n))),
            _ => Ok(None),
        }
    }

    /// The text at a place, if it is one of two bytes.
    pub fn pair(&mut self, at: u64) -> io::Result<Option<[u8; 2]>> {
        let (head, _) = self.resolve(at)?;
        if head.kind != TEXT || head.size != 2 {
            return Ok(None);
        }
        let pair = self.number(head.body, 2)? as u16;
        match pair.to_be_bytes() {
            pair if pair.is_ascii() => Ok(Some(pair)),
            _ => Err(bad("a code of other characters than a code has")),
        }
    }
}
