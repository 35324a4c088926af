//! What records of a database in memory say, kept by where they begin: many networks share few records, and a country
//! is asked for again and again.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{Code, Record, Wanted};

/// How many are kept. A database of countries has some hundreds.
const MANY: usize = 1024;

/// Each word is where a record begins, in its high half, and what it says, in its low one: so no two threads can
/// make a wrong one of two right ones. No record begins at 0.
#[derive(Debug)]
pub(super) struct Records(Box<[AtomicU64]>);

impl Records {
    pub fn new() -> Self {
        Records((0..MANY).map(|_| AtomicU64::new(0)).collect())
    }

    fn word(&self, at: u32) -> &AtomicU64 {
        // The high bits of a product depend on all bits of it.
        let place = at.wrapping_mul(0x9e37_79b9) >> (u32::BITS - MANY.ilog2());
        &self.0[place as usize]
    }

    pub fn get(&self, at: u64, wanted: Wanted) -> Option<Record> {
        let at = u32::try_from(at).ok()?;
        let word = self.word(at).load(Relaxed);
        (word >> 32 == u64::from(at)).then(|| unpacked(word as u32, wanted))
    }

    pub fn put(&self, at: u64, wanted: Wanted, record: Record) {
        if let (Ok(at), Some(packed)) = (u32::try_from(at), packed(record, wanted)) {
            let word = u64::from(at) << 32 | u64::from(packed);
            self.word(at).store(word, Relaxed);
        }
    }
}

/// A record in 32 bits, of which 0 say nothing; `None` where they do not say it.
fn packed(record: Record, wanted: Wanted) -> Option<u32> {
    let code = |code: Option<Code>| code.map_or(0, |code| u32::from(u16::from_be_bytes(code.letters())));
    match wanted {
        Wanted::Countries => Some(code(record.country) << 16 | code(record.continent)),
        Wanted::Systems if record.asn == Some(0) => None,
        Wanted::Systems => Some(record.asn.unwrap_or(0)),
        Wanted::Both => None,
    }
}

fn unpacked(packed: u32, wanted: Wanted) -> Record {
    let code = |letters: u32| Code::of((letters as u16).to_be_bytes());
    match wanted {
        Wanted::Countries => Record {
            country: code(packed >> 16),
            continent: code(packed),
            asn: None,
        },
        Wanted::Systems | Wanted::Both => Record {
            asn: (packed > 0).then_some(packed),
            ..Record::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_had_again_until_another_takes_its_place() {
        let records = Records::new();
        let code = |text| Code::new(text);
        let place = |country, continent| Record {
            country,
            continent,
            asn: None,
        };
        let said = [
            place(code("DE"), code("EU")),
            place(None, code("AF")),
            place(code("JP"), None),
            Record::default(),
        ];
        for (at, record) in (100_000..).zip(said.iter().cycle()).take(5000) {
            assert_eq!(records.get(at, Wanted::Countries), None);
            records.put(at, Wanted::Countries, *record);
            assert_eq!(records.get(at, Wanted::Countries), Some(*record));
        }
        for asn in [None, Some(1), Some(u32::MAX)] {
            let record = Record {
                asn,
                ..Record::default()
            };
            records.put(7, Wanted::Systems, record);
            assert_eq!(records.get(7, Wanted::Systems), Some(record));
        }
        // What 32 bits cannot say, and what is too far, is not kept.
        let zero = Record {
            asn: Some(0),
            ..Record::default()
        };
        records.put(8, Wanted::Systems, zero);
        assert_eq!(records.get(8, Wanted::Systems), None);
        records.put(1 << 32 | 7, Wanted::Systems, zero);
        assert_eq!(records.get(1 << 32 | 7, Wanted::Systems), None);
    }
}
