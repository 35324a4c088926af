//! The MaxMind DB format: a binary search tree over the bits of addresses, and the records its leaves point to.
//!
//! Read here and not by a library for what those cannot do: look one address up in a file with a few small reads, for
//! processes that decide once and may neither map a file nor read eight megabytes. It takes only what rules ask for.
//! Everything in a database may be wrong; then there is an error, after a bounded number of steps.

use std::fs::File;
use std::io;
use std::net::IpAddr;
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
    piece: [u8; 4096],
    at: u64,
    filled: usize,
}

impl Pieces {
    pub fn new(file: File) -> io::Result<Self> {
        let size = file.metadata()?.len();
        Ok(Pieces {
            file,
            size,
            piece: [0; 4096],
            at: 0,
            filled: 0,
        })
    }
}

impl Source for Pieces {
    fn size(&self) -> u64 {
        self.size
    }

    fn read(&mut self, at: u64, out: &mut [u8]) -> io::Result<()> {
        if out.len() > self.piece.len() {
            return self.file.read_exact_at(out, at);
        }
        let is_in = |at: u64, piece: u64, filled: usize| {
            at >= piece && at + out.len() as u64 <= piece + filled as u64
        };
        if !is_in(at, self.at, self.filled) {
            self.filled = self.file.read_at(&mut self.piece, at)?;
            self.at = at;
            if self.filled < out.len() {
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
    /// How many bits of the tree were walked to it.
    v4_depth: u8,
    data: u64,
    data_end: u64,
}

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
            let at = end.windows(MARKER.len()).rposition(|window| window == MARKER);
            found = at.map(|at| size - (end.len() - at) as u64);
            if found.is_some() {
                break;
            }
        }
        let marker = found.ok_or_else(|| bad("it has no metadata"))?;
        let start = marker + MARKER.len() as u64;
        let mut decoder = Decoder::new(source, start, size);
        let mut number = |key: &str| -> io::Result<u64> {
            match decoder.find(start, &[key])? {
                Some(Value::Number(number)) => Ok(number),
                _ => Err(bad(&format!("no {key} in its metadata"))),
            }
        };
        if number("binary_format_major_version")? != 2 {
            return Err(bad("its format is none we know"));
        }
        let (nodes, record) = (number("node_count")?, number("record_size")?);
        let is_v6 = match number("ip_version")? {
            4 => false,
            6 => true,
            _ => return Err(bad("its addresses are neither IPv4 nor IPv6")),
        };
        let built = number("build_epoch")?;
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
            v4_depth: 0,
            data,
            data_end: marker,
        };
        while is_v6 && layout.v4_depth < 96 && layout.v4_root < nodes {
            layout.v4_root = layout.child(source, layout.v4_root, false)?;
            layout.v4_depth += 1;
        }
        Ok(layout)
    }

    fn child(&self, source: &mut impl Source, node: u64, right: bool) -> io::Result<u64> {
        let size = self.record / 4;
        let mut bytes = [0; 8];
        source.read(node * size, &mut bytes[..size as usize])?;
        let number = |bytes: &[u8]| {
            bytes
                .iter()
                .fold(0u64, |number, byte| number << 8 | u64::from(*byte))
        };
        Ok(match (self.record, right) {
            (24, false) => number(&bytes[..3]),
            (24, true) => number(&bytes[3..6]),
            // The middle byte has the highest bits of both.
            (28, false) => u64::from(bytes[3] >> 4) << 24 | number(&bytes[..3]),
            (28, true) => u64::from(bytes[3] & 15) << 24 | number(&bytes[4..7]),
            (_, false) => number(&bytes[..4]),
            (_, true) => number(&bytes[4..8]),
        })
    }

    /// Where the record of an address begins, and how many bits of the address its network has.
    pub fn find(&self, source: &mut impl Source, address: IpAddr) -> io::Result<Option<(u64, u8)>> {
        let (bits, length, mut node) = match address.to_canonical() {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32, self.v4_root),
            IpAddr::V6(_) if !self.is_v6 => return Ok(None),
            IpAddr::V6(v6) => (v6.to_bits(), 128, 0),
        };
        let mut depth = 0;
        while node < self.nodes && depth < length {
            let right = bits >> (127 - depth) & 1 != 0;
            node = self.child(source, node, right)?;
            depth += 1;
        }
        match node {
            node if node < self.nodes => Err(bad("its tree is deeper than an address")),
            node if node == self.nodes => Ok(None),
            node => {
                let at = node - self.nodes;
                let at = at.checked_sub(SEPARATOR).map(|at| self.data + at);
                at.filter(|at| *at < self.data_end)
                    .map(|at| Some((at, depth as u8)))
                    .ok_or_else(|| bad("a record is beyond its end"))
            }
        }
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

    /// Is it this text?
    fn is_text(&mut self, head: Head, text: &[u8]) -> io::Result<bool> {
        let mut found = [0; 64];
        let (size, end) = (text.len(), head.body.saturating_add(head.size));
        if head.size != size as u64 || size > found.len() || end > self.end {
            return Ok(false);
        }
        self.source.read(head.body, &mut found[..size])?;
        Ok(found[..size] == *text)
    }

    fn text(&mut self, head: Head) -> io::Result<String> {
        const LONGEST: u64 = 256;
        if head.kind != TEXT || head.size > LONGEST || head.body + head.size > self.end {
            return Err(bad("a text that is none"));
        }
        let mut text = vec![0; head.size as usize];
        self.source.read(head.body, &mut text)?;
        String::from_utf8(text).map_err(|_| bad("a text that is no UTF-8"))
    }

    /// The value that keys lead to, from the map at a place. `None` where there is none, or one of another kind.
    pub fn find(&mut self, at: u64, path: &[&str]) -> io::Result<Option<Value>> {
        let (mut head, _) = self.resolve(at)?;
        for key in path {
            if head.kind != MAP {
                return Ok(None);
            }
            let mut next = head.body;
            let mut found = None;
            for _ in 0..head.size {
                let (name, behind) = self.resolve(next)?;
                let value = behind.unwrap_or(name.body.saturating_add(name.size));
                if name.kind != TEXT {
                    return Err(bad("a key that is no text"));
                }
                if self.is_text(name, key.as_bytes())? {
                    found = Some(value);
                    break;
                }
                next = self.skip(value)?;
            }
            match found {
                Some(value) => head = self.resolve(value)?.0,
                None => return Ok(None),
            }
        }
        match head.kind {
            TEXT => self.text(head).map(|text| Some(Value::Text(text))),
            UINT16 | UINT32 | UINT64 => self.number(head.body, head.size).map(|n| Some(Value::Number(n))),
            _ => Ok(None),
        }
    }
}
