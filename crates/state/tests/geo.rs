//! Databases of places: built here in every shape, and asked beside the library that everybody uses.

mod build;
mod wait;

use std::net::IpAddr;

use maxminddb::{Reader, path};
use state::geo::{Database, locate_in, read_all};
use wait::wait;

use build::{Record, Shape, database};

/// Numbers that look random (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn address(&mut self) -> IpAddr {
        match self.next() % 2 {
            0 => IpAddr::from((self.next() as u32).to_be_bytes()),
            _ => {
                let bits = u128::from(self.next()) << 64 | u128::from(self.next());
                // Half of them where networks are.
                let bits = if bits & 1 == 0 {
                    bits
                } else {
                    bits >> 16 | 0x2001_u128 << 112
                };
                IpAddr::from(bits.to_be_bytes())
            }
        }
    }
}

const RECORDS: [(&str, Record); 6] = [
    ("192.0.2.0/24", Record::Nested("DE", "EU")),
    ("198.51.100.0/25", Record::Registered("AT")),
    ("10.0.0.0/8", Record::Flat("us", 64_500)),
    ("128.0.0.0/2", Record::Nested("JP", "AS")),
    ("2001:db8::/32", Record::Nested("FR", "EU")),
    ("2001::/16", Record::Flat("BR", 4_200_000_000)),
];

#[test]
fn every_shape_of_tree_is_read_as_the_library_reads_it() {
    for record_size in [24, 28, 32] {
        for is_v6 in [false, true] {
            let bytes = database(Shape { record_size, is_v6 }, &RECORDS);
            let reader = Reader::from_source(bytes.as_slice()).unwrap();
            reader.verify().expect("what is built here is sound");
            let mut numbers = Numbers(record_size);
            let mut found = 0;
            for _ in 0..4000 {
                let address = numbers.address();
                let ours = locate_in(&bytes, address).unwrap();
                let theirs = match address {
                    IpAddr::V6(_) if !is_v6 => None,
                    address => {
                        let record = reader.lookup(address).unwrap();
                        let code =
                            |path: &[maxminddb::PathElement<'_>]| record.decode_path::<String>(path).unwrap();
                        let country = code(&path!["country", "iso_code"])
                            .or_else(|| code(&path!["registered_country", "iso_code"]))
                            .or_else(|| code(&path!["country_code"]));
                        let continent = code(&path!["continent", "code"]);
                        let asn = record
                            .decode_path::<u32>(&path!["autonomous_system_number"])
                            .unwrap();
                        record.has_data().then(|| {
                            let network = record.network().unwrap();
                            (
                                country.map(|c| c.to_uppercase()),
                                continent,
                                asn,
                                network.prefix(),
                            )
                        })
                    }
                };
                found += u32::from(ours.is_some());
                let ours = ours.map(|ours| {
                    let code = |code: Option<state::geo::Code>| code.map(|code| code.to_string());
                    (
                        code(ours.country),
                        code(ours.continent),
                        ours.asn,
                        ours.network.length(),
                    )
                });
                assert_eq!(ours, theirs, "{address} {record_size} {is_v6}");
            }
            assert!(found > 300, "{found}");
        }
    }
}

#[test]
fn a_file_is_asked_in_pieces_or_whole_and_noticed_when_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("c.mmdb");
    let shape = Shape {
        record_size: 28,
        is_v6: true,
    };
    let database_file = Database::of_countries(Some(&path));
    let (once, stays) = (
        (&database_file, false),
        (&Database::of_countries(Some(&path)), true),
    );
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let cause = stays.0.locate(address, true).unwrap_err().to_string();
    assert_eq!(cause, format!("{}: no such file", path.display()));
    assert!(once.0.locate(address, false).is_err());
    let put = |bytes: &[u8]| {
        std::fs::write(directory.path().join("new"), bytes).unwrap();
        std::fs::rename(directory.path().join("new"), &path).unwrap();
    };
    put(&database(shape, &RECORDS));
    let country = |(database, stays): (&Database, bool)| {
        database
            .locate(address, stays)
            .unwrap()
            .unwrap()
            .country
            .unwrap()
            .to_string()
    };
    assert_eq!((country(once), country(stays)), ("DE".into(), "DE".into()));
    assert_eq!(stays.0.locate("203.0.113.1".parse().unwrap(), true), Ok(None));
    assert_eq!(stays.0.edition().unwrap().built, 1_700_000_000);
    // Replaced, it is noticed.
    put(&database(shape, &[("192.0.2.0/24", Record::Flat("CH", 7))]));
    wait(|| country(stays) == "CH");
    // Damaged, then gone, the last good one is kept, and says so.
    put(b"nothing of the kind");
    wait(|| {
        stays
            .0
            .stale()
            .is_some_and(|why| why.contains("damaged database"))
            | (country(stays) != "CH")
    });
    assert!(once.0.locate(address, false).is_err());
    std::fs::remove_file(&path).unwrap();
    wait(|| stays.0.stale().is_some_and(|why| why.contains("no such file")) | (country(stays) != "CH"));
    put(&database(shape, &RECORDS));
    wait(|| country(stays) == "DE" && stays.0.stale().is_none());
}

#[test]
fn a_copy_is_asked_while_the_database_is_gone_or_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let (path, copies) = (directory.path().join("c.mmdb"), directory.path().join("copies"));
    let shape = Shape {
        record_size: 28,
        is_v6: true,
    };
    let address: IpAddr = "192.0.2.7".parse().unwrap();
    let new = || Database::of_countries(Some(&path)).with_copies(&copies);
    // For a process that decides once, one that begins to stay, and what each is told of it.
    let asked = || {
        [false, true].map(|stays| {
            let database = new();
            let located = database.locate(address, stays)?;
            let edition = database.edition()?;
            Ok::<_, state::Unknown>((
                located.unwrap().country.unwrap().to_string(),
                edition
                    .instead
                    .map(|why| why.replace(path.to_str().unwrap(), "it")),
            ))
        })
    };
    let both = |country: &str, instead: Option<&str>| {
        [(); 2].map(|()| Ok((country.into(), instead.map(Into::into))))
    };
    assert!(new().copy().is_err() && asked().iter().all(Result::is_err));
    let good = database(shape, &RECORDS);
    std::fs::write(&path, &good).unwrap();
    let copied = new().copy().unwrap();
    assert!(copied.is_new && !new().copy().unwrap().is_new);
    assert_eq!(asked(), both("DE", None));
    // Gone, cut short, and damaged where the answer is.
    std::fs::remove_file(&path).unwrap();
    assert_eq!(asked(), both("DE", Some("it: no such file")));
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    let cut = Some("it: damaged database: it has no metadata");
    assert_eq!(asked(), both("DE", cut));
    let mut damaged = good.clone();
    let tree = damaged.windows(16).position(|zeros| zeros == [0; 16]).unwrap();
    damaged[..tree].fill(0xff);
    std::fs::write(&path, &damaged).unwrap();
    assert_eq!(
        new()
            .locate(address, false)
            .unwrap()
            .unwrap()
            .country
            .unwrap()
            .to_string(),
        "DE"
    );
    // None of that becomes a copy.
    assert!(new().copy().is_err());
    assert_eq!(std::fs::read(&copied.copy).unwrap(), good);
    // A good one is always asked first, and is the next copy.
    std::fs::write(&path, database(shape, &[("192.0.2.0/24", Record::Flat("CH", 7))])).unwrap();
    assert_eq!(asked(), both("CH", None));
    assert!(new().copy().unwrap().is_new);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(asked(), both("CH", Some("it: no such file")));
    // One that stays goes back to the file when there is one.
    let stays = new();
    let country = || {
        stays
            .locate(address, true)
            .unwrap()
            .unwrap()
            .country
            .unwrap()
            .to_string()
    };
    assert_eq!(country(), "CH");
    std::fs::write(&path, &good).unwrap();
    wait(|| country() == "DE" && stays.stale().is_none());
    // A copy that is damaged itself is none.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&copied.copy, "nothing of the kind").unwrap();
    assert!(asked().iter().all(Result::is_err));
    assert_eq!(new().remove_copies(), Ok(vec![copied.copy]));
    assert_eq!(new().remove_copies(), Ok(Vec::new()));
}

#[test]
fn whatever_is_damaged_is_an_error_or_an_answer_and_ends() {
    let mut numbers = Numbers(7);
    for record_size in [24, 28, 32] {
        let good = database(
            Shape {
                record_size,
                is_v6: true,
            },
            &RECORDS,
        );
        for _ in 0..3000 {
            let mut bytes = good.clone();
            for _ in 0..=numbers.next() % 4 {
                let at = numbers.next() as usize % bytes.len();
                match numbers.next() % 3 {
                    0 => bytes[at] = numbers.next() as u8,
                    1 => bytes.truncate(at.max(1)),
                    _ => bytes[at] ^= 1 << (numbers.next() % 8),
                }
            }
            for address in ["192.0.2.7", "10.1.2.3", "2001:db8::1", "198.51.100.1"] {
                let _ = locate_in(&bytes, address.parse().unwrap());
            }
        }
    }
}

#[test]
fn a_record_that_never_ends_is_left() {
    // A map of very many values, and pointers in a ring.
    let shape = Shape {
        record_size: 24,
        is_v6: false,
    };
    for data in [
        &[0xff, 0xff, 0xff, 0xff][..],
        &[0x20, 0x00],
        &[0xe1, 0x20, 0x00, 0x20, 0x00],
    ] {
        let bytes = database(shape, &[("0.0.0.0/1", Record::Raw(data))]);
        assert!(
            locate_in(&bytes, "1.2.3.4".parse().unwrap()).is_err(),
            "{data:x?}"
        );
    }
}

/// Writes the seeds of the fuzzer anew: `cargo nextest run -p state --run-ignored only seeds`.
#[test]
#[ignore = "writes into the repository"]
fn seeds_of_the_fuzzer() {
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/databases");
    for (record_size, is_v6) in [(24, true), (28, true), (32, false)] {
        let bytes = database(Shape { record_size, is_v6 }, &RECORDS);
        std::fs::write(directory.join(record_size.to_string()), bytes).unwrap();
    }
}

/// Read whole, a database says of every address what it says when it is asked.
#[test]
fn what_is_read_whole_is_what_is_asked() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("places.mmdb");
    for is_v6 in [false, true] {
        let bytes = database(
            Shape {
                record_size: 28,
                is_v6,
            },
            &RECORDS,
        );
        std::fs::write(&path, &bytes).unwrap();
        let (edition, all) = read_all(&path).unwrap();
        assert_eq!(edition.path, path);
        let mut numbers = Numbers(28);
        let mut found = 0;
        for _ in 0..4000 {
            let address = numbers.address();
            let read = all.iter().filter(|located| located.network.contains(address));
            let read: Vec<_> = read.copied().collect();
            let asked: Vec<_> = locate_in(&bytes, address).unwrap().into_iter().collect();
            assert_eq!(read, asked, "{address}");
            found += asked.len();
        }
        assert!(found > 300, "{found}");
    }
    std::fs::write(&path, b"no database").unwrap();
    assert!(read_all(&path).is_err());
}
