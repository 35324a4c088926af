//! The index of a ban list: for each network and origin of the first part of the text, when its last line says
//! that the ban ends.
//!
//! A table of blocks, chosen by a keyed hash of the network; a block that is full goes on in the next one. A process
//! that decides once reads the one block it needs of the file; one that stays reads them all. Every block carries a
//! check of its own, so that damage is found where it is met: it makes the answer unknown.
//!
//! The text is the truth. An index holds for it as long as it is the same file, no shorter, with the same last bytes
//! of the part that was indexed: the list is appended to or replaced, never written in place.

use std::fs::File;
use std::hash::Hasher;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use siphasher::sip::SipHasher13;
use smallvec::SmallVec;

use super::last;
use super::text::{self, Expiry};
use crate::network::Network;

const MAGIC: &[u8; 8] = b"tcpbans1";
const HEADER: usize = 128;
const BLOCK: usize = 512;
const ENTRY: usize = 32;
/// Entries of a block; behind them stand how many there are, and the block's check.
const FULL: usize = 15;
/// How many a block should hold, so that few go on in the next one.
const USUAL: usize = 10;
/// How much of the indexed text's end must be as it was.
const END: u64 = 1024;

/// What one line says of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// A hash of who says it.
    pub origin: u32,
    pub expiry: Expiry,
    /// Where the line begins in the text.
    pub at: u64,
}

pub(crate) type Marks = SmallVec<[Mark; 1]>;

/// What stands for an origin.
pub(crate) fn origin_mark(origin: &[u8]) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(origin);
    hasher.finish() as u32
}

/// Adds a mark, or puts it in place of an earlier one of the same origin.
pub(crate) fn mark(marks: &mut Marks, new: Mark) {
    match marks.iter_mut().find(|old| old.origin == new.origin) {
        Some(old) => *old = new,
        None => marks.push(new),
    }
}

/// Which lengths networks have, so that no others are looked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lengths {
    v4: u64,
    v6: u128,
    /// Is there an IPv6 network of all 128 bits? The other lengths fill a number of as many bits.
    v6_address: bool,
}

impl Lengths {
    pub fn add(&mut self, network: Network) {
        match (network.is_v4(), network.length()) {
            (true, length) => self.v4 |= 1 << length,
            (false, 128) => self.v6_address = true,
            (false, length) => self.v6 |= 1 << length,
        }
    }

    /// Has a network this length?
    pub fn has(self, network: Network) -> bool {
        match (network.is_v4(), network.length()) {
            (true, length) => self.v4 >> length & 1 != 0,
            (false, 128) => self.v6_address,
            (false, length) => self.v6 >> length & 1 != 0,
        }
    }

    /// The networks of these lengths that an address is in.
    pub fn around(self, address: std::net::IpAddr) -> impl Iterator<Item = Network> {
        let (mut set, whole) = match address.to_canonical() {
            std::net::IpAddr::V4(_) => (u128::from(self.v4), false),
            std::net::IpAddr::V6(_) => (self.v6, self.v6_address),
        };
        let shorter = std::iter::from_fn(move || {
            let length = (set != 0).then(|| set.trailing_zeros() as u8)?;
            set &= set - 1;
            Some(length)
        });
        shorter
            .chain(whole.then_some(128))
            .map(move |length| Network::around(address, length))
    }
}

/// What the head of an index says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Head {
    inode: u64,
    /// How much of the text is indexed.
    covers: u64,
    /// A hash of that part's end.
    end: u64,
    key: (u64, u64),
    blocks: u64,
    count: u64,
    lengths: Lengths,
    /// Number of the first line that cannot be read, 0 for none.
    damaged: u64,
}

impl Head {
    fn write(&self) -> [u8; HEADER] {
        let mut out = Vec::with_capacity(HEADER);
        out.extend_from_slice(MAGIC);
        let numbers = [
            self.inode,
            self.covers,
            self.end,
            self.key.0,
            self.key.1,
            self.blocks,
            self.count,
            self.lengths.v4,
            self.damaged,
            u64::from(self.lengths.v6_address),
        ];
        numbers
            .iter()
            .for_each(|n| out.extend_from_slice(&n.to_le_bytes()));
        out.extend_from_slice(&self.lengths.v6.to_le_bytes());
        out.resize(HEADER - 8, 0);
        out.extend_from_slice(&check(&out).to_le_bytes());
        out.try_into().unwrap_or([0; HEADER])
    }

    fn read(bytes: &[u8; HEADER]) -> Option<Head> {
        let (body, found) = bytes.split_at(HEADER - 8);
        if !body.starts_with(MAGIC) || found != check(body).to_le_bytes() {
            return None;
        }
        let number = |at: usize| word(&body[8 + at * 8..]);
        Some(Head {
            inode: number(0),
            covers: number(1),
            end: number(2),
            key: (number(3), number(4)),
            blocks: number(5),
            count: number(6),
            damaged: number(8),
            lengths: Lengths {
                v4: number(7),
                v6: u128::from(number(10)) | u128::from(number(11)) << 64,
                v6_address: number(9) != 0,
            },
        })
        .filter(|head| head.blocks > 0)
    }

    /// The block a network's entries begin in.
    fn block(&self, network: Network) -> u64 {
        let (bits, length) = network.raw();
        let mut hasher = SipHasher13::new_with_keys(self.key.0, self.key.1);
        hasher.write_u128(bits);
        hasher.write_u8(length);
        // The high half of the product: as even as the hash, without a division.
        ((u128::from(hasher.finish()) * u128::from(self.blocks)) >> 64) as u64
    }
}

/// The first eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

fn check(bytes: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(bytes);
    hasher.finish()
}

const NEVER: u64 = (1 << 40) - 1;

fn write_entry(network: Network, mark: &Mark) -> [u8; ENTRY] {
    let (bits, length) = network.raw();
    let expiry = match mark.expiry {
        Expiry::At(end) => end.min(NEVER - 1),
        Expiry::Never => NEVER,
    };
    let mut entry = [0; ENTRY];
    entry[..16].copy_from_slice(&bits.to_le_bytes());
    entry[16] = length;
    entry[17..21].copy_from_slice(&mark.origin.to_le_bytes());
    entry[21..26].copy_from_slice(&expiry.to_le_bytes()[..5]);
    entry[26..32].copy_from_slice(&mark.at.to_le_bytes()[..6]);
    entry
}

fn read_entry(entry: &[u8; ENTRY]) -> Mark {
    let expiry = word(&entry[21..]) & NEVER;
    Mark {
        origin: word(&entry[17..]) as u32,
        expiry: match expiry {
            NEVER => Expiry::Never,
            end => Expiry::At(end),
        },
        at: word(&entry[24..]) >> 16,
    }
}

/// The bytes an index keeps of a network, by which its entries are told from others.
fn key_of(network: Network) -> [u8; 17] {
    let (bits, length) = network.raw();
    let mut key = [0; 17];
    key[..16].copy_from_slice(&bits.to_le_bytes());
    key[16] = length;
    key
}

/// Makes the index of a whole text, of the file with that inode number, under a key nobody else knows.
pub(crate) fn build(text: &[u8], inode: u64, key: (u64, u64)) -> Vec<u8> {
    let covers = text::whole(text);
    let text = &text[..covers];
    let summary = last::summary(text);
    let mut lengths = Lengths::default();
    summary.last.iter().for_each(|line| lengths.add(line.network));
    let damaged = summary.damaged.first().map_or(0, |(number, ..)| *number);
    let count = summary.last.len();
    let blocks = count / USUAL + 1;
    let head = Head {
        inode,
        covers: covers as u64,
        end: check(&text[covers.saturating_sub(END as usize)..]),
        key,
        blocks: blocks as u64,
        count: count as u64,
        lengths,
        damaged,
    };
    let mut filled: Vec<Vec<[u8; ENTRY]>> = vec![Vec::new(); blocks];
    for line in &summary.last {
        let mut block = head.block(line.network) as usize;
        while filled[block].len() == FULL {
            block = (block + 1) % blocks;
        }
        let mark = Mark {
            origin: line.origin,
            expiry: line.expiry,
            at: line.at as u64,
        };
        filled[block].push(write_entry(line.network, &mark));
    }
    let mut out = Vec::with_capacity(HEADER + blocks * BLOCK);
    out.extend_from_slice(&head.write());
    for entries in &filled {
        let start = out.len();
        entries.iter().for_each(|entry| out.extend_from_slice(entry));
        out.resize(start + FULL * ENTRY, 0);
        out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
        out.resize(start + BLOCK - 8, 0);
        out.extend_from_slice(&check(&out[start..]).to_le_bytes());
    }
    out
}

/// The blocks of an index.
#[derive(Debug)]
enum Blocks {
    /// In the file.
    File(File),
    /// In memory; each was checked when it was read.
    Memory { all: Vec<u8>, sieve: Sieve },
}

/// Tells of most networks that an index does not have them, from one word: of few clients anything is said, and a block is
/// several lines of the processor's cache, which are farther away. A network is two bits of a word.
#[derive(Debug)]
struct Sieve(Vec<u64>);

impl Sieve {
    /// Networks for each word: one of 20 that are not in the index is looked for there all the same.
    const USUAL: u64 = 8;

    fn new(count: u64) -> Self {
        Sieve(vec![0; (count / Self::USUAL) as usize + 1])
    }

    /// The word of a network, by its bits and length, and the bits of that word.
    fn place(&self, bits: u128, length: u8) -> (usize, u64) {
        let folded = bits as u64 ^ (bits >> 64) as u64 ^ u64::from(length);
        // Whoever chose networks that meet here would have the blocks looked into, as without it.
        let product = folded.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = (u128::from(product) * self.0.len() as u128) >> 64;
        let low = product >> 26;
        (word as usize, 1 << (low & 63) | 1 << (low >> 6 & 63))
    }

    fn add(&mut self, entry: &[u8; ENTRY]) {
        let bits = u128::from(word(entry)) | u128::from(word(&entry[8..])) << 64;
        let (word, mask) = self.place(bits, entry[16]);
        self.0[word] |= mask;
    }

    fn may_have(&self, network: Network) -> bool {
        let (bits, length) = network.raw();
        let (word, mask) = self.place(bits, length);
        self.0[word] & mask == mask
    }
}

/// An index that holds for a text.
#[derive(Debug)]
pub(crate) struct Index {
    head: Head,
    blocks: Blocks,
}

impl Index {
    /// The index, if it holds for the text. One that does not is no error: the text has it all.
    pub fn open(index: File, text: &File) -> Option<Index> {
        let mut bytes = [0; HEADER];
        index.read_exact_at(&mut bytes, 0).ok()?;
        let head = Head::read(&bytes)?;
        let found = text.metadata().ok()?;
        if found.ino() != head.inode || found.len() < head.covers {
            return None;
        }
        let mut end = [0; END as usize];
        let end = &mut end[..head.covers.min(END) as usize];
        text.read_exact_at(end, head.covers - end.len() as u64).ok()?;
        (check(end) == head.end).then_some(Index {
            head,
            blocks: Blocks::File(index),
        })
    }

    /// Reads all of it, for a process that will ask often.
    pub fn into_memory(self) -> io::Result<Index> {
        let Blocks::File(file) = &self.blocks else {
            return Ok(self);
        };
        let size = file.metadata()?.len().saturating_sub(HEADER as u64);
        let wanted = self.head.blocks.saturating_mul(BLOCK as u64);
        if size < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut blocks = vec![0; wanted as usize];
        file.read_exact_at(&mut blocks, HEADER as u64)?;
        // As large as there are blocks, whatever the head says of the number of bans.
        let mut sieve = Sieve::new(self.head.blocks * USUAL as u64);
        for block in blocks.as_chunks().0 {
            entries(sound(block).ok_or_else(damaged)?)
                .iter()
                .for_each(|entry| sieve.add(entry));
        }
        Ok(Index {
            head: self.head,
            blocks: Blocks::Memory { all: blocks, sieve },
        })
    }

    /// How much of the text it covers.
    pub fn covers(&self) -> u64 {
        self.head.covers
    }

    /// How many bans, over or not, it has.
    pub fn count(&self) -> u64 {
        self.head.count
    }

    /// The lengths its networks have.
    pub fn lengths(&self) -> Lengths {
        self.head.lengths
    }

    /// The number of the first line that could not be read.
    pub fn damaged(&self) -> Option<u64> {
        (self.head.damaged > 0).then_some(self.head.damaged)
    }

    /// What is said of exactly this network.
    pub fn marks(&self, network: Network, out: &mut Marks) -> io::Result<()> {
        if let Blocks::Memory { sieve, .. } = &self.blocks
            && !sieve.may_have(network)
        {
            return Ok(());
        }
        let key = key_of(network);
        let mut at = self.head.block(network);
        let mut buffer = [0; BLOCK];
        for _ in 0..self.head.blocks {
            let block: &[u8; BLOCK] = match &self.blocks {
                Blocks::File(file) => {
                    file.read_exact_at(&mut buffer, HEADER as u64 + at * BLOCK as u64)?;
                    sound(&buffer).ok_or_else(damaged)?
                }
                Blocks::Memory { all, .. } => all.as_chunks().0.get(at as usize).ok_or_else(damaged)?,
            };
            let entries = entries(block);
            for entry in entries.iter().filter(|entry| entry[..17] == key) {
                out.push(read_entry(entry));
            }
            if entries.len() < FULL {
                break;
            }
            at = (at + 1) % self.head.blocks;
        }
        Ok(())
    }
}

fn entries(block: &[u8; BLOCK]) -> &[[u8; ENTRY]] {
    let used = word(&block[FULL * ENTRY..]) as usize;
    &block.as_chunks().0[..used.min(FULL)]
}

fn sound(block: &[u8; BLOCK]) -> Option<&[u8; BLOCK]> {
    let (body, found) = block.split_at(BLOCK - 8);
    (found == check(body).to_le_bytes()).then_some(block)
}

fn damaged() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "the index is damaged; \"tcpwrap bans --compact\" makes it anew",
    )
}
