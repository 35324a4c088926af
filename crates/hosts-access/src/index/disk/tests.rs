//! The index in a file offers the same rules as the one in memory, and nothing where it is damaged or another's.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::format::{Header, Section, checksum};
use super::read::{DiskIndex, Jump, NoIndex};
use super::{SMALLEST, What, compile, is_index, of_list, of_text, path_of};
use crate::index::candidates::Shape;
use crate::index::keys::{HostShape, TextShape};
use crate::index::{Candidate, TableIndex};
use crate::request::{Request, Side};
use crate::source::FileId;

fn open(table: &Path) -> Result<DiskIndex, NoIndex> {
    let metadata = fs::metadata(table).unwrap();
    DiskIndex::open(table, What::Table, &FileId::of(&metadata), metadata.uid())
}

/// A table with rules of several kinds and long lists, and its index.
fn table(directory: &Path) -> (std::path::PathBuf, String) {
    let mut text = String::from("# a comment\nno rule\n");
    for at in 0..3000u32 {
        text += &match at % 7 {
            0 => format!("sshd: 10.0.{}.{}\n", at >> 8, at & 255),
            1 => format!("sshd, d{at}: host{at}.example.net\n"),
            2 => "sshd: .example.org\n".to_owned(),
            3 => format!("ALL@10.0.0.{}: \\\n ALL\n", at & 3),
            4 => format!("sshd: u{}@ALL *.sub{at}.example.org\n", at % 5),
            5 => format!("d{at}: ALL\n"),
            _ => "sshd: [2001:db8::]/32\n".to_owned(),
        };
    }
    let table = directory.join("hosts.deny");
    fs::write(&table, &text).unwrap();
    let image = compile(&table).unwrap().expect("an index");
    fs::write(path_of(&table), image.bytes).unwrap();
    (table, text)
}

fn request(client: &str, knows: bool) -> Request {
    let request = Request::new("sshd").known_address(Side::Client, client);
    match knows {
        false => request,
        true => request
            .known_name(Side::Client, "a.example.org")
            .known_user("u3")
            .known_address(Side::Server, "10.0.0.1")
            .known_name(Side::Server, "server.example.org"),
    }
}

#[test]
fn both_offer_the_same_rules() {
    let directory = tempfile::tempdir().unwrap();
    let (table, text) = table(directory.path());
    let index = open(&table).unwrap();
    let memory = TableIndex::new(text.as_bytes()).unwrap();
    for client in ["10.0.3.7", "10.0.0.0", "2001:db8::9", "unknown"] {
        for knows in [false, true] {
            for from in [0, 1, 500, 2999, 3001] {
                let mut request = request(client, knows);
                let mut kept = memory.candidates(from);
                let mut read = index.candidates(from);
                let mut count = 0;
                loop {
                    let wanted = kept
                        .next(text.as_bytes(), &mut request)
                        .unwrap()
                        .map(|(at, candidate)| {
                            let Candidate::Lines(lines) = candidate else {
                                panic!("no list is long")
                            };
                            let (offset, lines_above) = lines.position();
                            Jump::To(at, offset as u64, lines_above)
                        });
                    let found = index.next(&mut read, &mut request).unwrap();
                    assert_eq!(found, wanted.unwrap_or(Jump::End), "{client} {knows} {from}");
                    if found == Jump::End {
                        break;
                    }
                    count += 1;
                }
                assert!(from > 500 || count > 100, "{client} {knows} {from}: {count}");
            }
        }
    }
}

/// A table is indexed from the size on at which an index is looked for.
#[test]
fn small_tables_need_none() {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("hosts.deny");
    assert!(compile(&table).unwrap().is_none(), "there is none");
    for (length, has_one) in [
        (0, false),
        (SMALLEST - 1, false),
        (SMALLEST, true),
        (SMALLEST + 1, true),
    ] {
        fs::write(&table, "#".repeat(length.saturating_sub(1) as usize) + "\n").unwrap();
        fs::File::options()
            .write(true)
            .open(&table)
            .unwrap()
            .set_len(length)
            .unwrap();
        let image = compile(&table).unwrap();
        assert_eq!(image.is_some(), has_one, "{length}");
        assert!(image.is_none_or(|image| is_index(&image.bytes)));
        assert!(!is_index(&fs::read(&table).unwrap()));
        // Beside a smaller one it is not looked at.
        let id = FileId::of(&table.metadata().unwrap());
        fs::write(
            path_of(&table),
            of_text(&fs::read(&table).unwrap(), &id).unwrap().bytes,
        )
        .unwrap();
        assert_eq!(open(&table).is_ok(), has_one, "{length}");
    }
    assert!(compile(directory.path()).is_err());
}

/// So many rules that the first postings of all blocks fill several blocks themselves.
#[test]
fn an_index_of_many_blocks() {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("hosts.deny");
    let rules = 120_000u32;
    let text: String = (0..rules)
        .map(|at| format!("a: 10.{}.{}.{}\n", at >> 16, at >> 8 & 255, at & 255))
        .collect();
    fs::write(&table, &text).unwrap();
    let id = FileId::of(&table.metadata().unwrap());
    let image = of_text(text.as_bytes(), &id).unwrap();
    assert_eq!(image.rules, rules as usize);
    // Eight bytes say where a rule is, twelve under which key, and some what a block begins with.
    assert!(image.bytes.len() < 21 * rules as usize, "{}", image.bytes.len());
    fs::write(path_of(&table), &image.bytes).unwrap();
    let index = open(&table).unwrap();
    for at in (0..rules).step_by(997).chain([rules - 1]) {
        let address = format!("10.{}.{}.{}", at >> 16, at >> 8 & 255, at & 255);
        let mut request = request(&address, false);
        let mut candidates = index.candidates(0);
        let Ok(Jump::To(rule, offset, above)) = index.next(&mut candidates, &mut request) else {
            panic!("{address} is not found");
        };
        assert_eq!((rule, above), (at + 1, at));
        assert!(text[offset as usize..].starts_with(&format!("a: {address}\n")));
        assert_eq!(index.next(&mut candidates, &mut request).unwrap(), Jump::End);
    }
}

/// What kinds of keys there are is kept whole, and not believed where a bit of it is another.
#[test]
fn headers_are_kept() {
    let shape = Shape {
        hosts: HostShape {
            has_any: true,
            lengths4: 1 << 32 | 1 << 24,
            lengths6: 1 << 127 | 1 << 31,
            masks: vec![0xff00_ff00, 0x00ff_00ff],
            ..HostShape::default()
        },
        services: TextShape {
            letters: true,
            beginnings: true,
            ends: vec![(0, 12), (3, 0)],
            within: [true, false],
            ..TextShape::default()
        },
        servers: HostShape {
            wants_name: true,
            names: true,
            every6: true,
            texts: TextShape {
                numbers: true,
                within: [false, true],
                ..TextShape::default()
            },
            ..HostShape::default()
        },
        has_servers: true,
        ..Shape::default()
    };
    let directory = tempfile::tempdir().unwrap();
    for (what, has_users, has_always) in [(What::Table, false, true), (What::List, true, false)] {
        let header = Header {
            what,
            table: FileId::of(&directory.path().metadata().unwrap()),
            shape: Shape {
                has_users,
                has_always,
                ..shape.clone()
            },
            sections: vec![
                Section {
                    kind: 3,
                    entries: 0x0102_0304,
                    offset: 0x0506_0708_090a_0b0c,
                },
                Section {
                    kind: 1,
                    entries: 7,
                    offset: 4096,
                },
            ],
        };
        let bytes = header.to_bytes();
        assert_eq!(Header::parse(&bytes, what), Some(header));
        let start = |bytes: &[u8]| Header::length(bytes.first_chunk().unwrap(), what);
        assert_eq!(start(&bytes), Some(bytes.len()));
        for other in [What::Table, What::List]
            .into_iter()
            .filter(|other| *other != what)
        {
            assert_eq!(Header::length(bytes.first_chunk().unwrap(), other), None);
        }
        for at in 0..bytes.len() {
            assert_eq!(Header::parse(&bytes[..at], what), None, "cut at {at}");
            let mut other = bytes.clone();
            other[at] ^= 4;
            // The first bytes say what it is and how long; only the rest is checked.
            match at {
                0..12 => assert_eq!(start(&other), None, "byte {at}"),
                12..16 => assert_ne!(start(&other), Some(bytes.len()), "byte {at}"),
                _ => assert_eq!(Header::parse(&other, what), None, "byte {at}"),
            }
        }
        for (length, is_one) in [(23, false), (24, true), (1 << 20, true), ((1 << 20) + 1, false)] {
            let mut other = bytes.clone();
            other[12..16].copy_from_slice(&u32::to_le_bytes(length));
            assert_eq!(start(&other), is_one.then_some(length as usize));
        }
    }
}

/// Of its contents, their order and length, the place, and the table.
#[test]
fn a_checksum_is_of_all_there_is() {
    let directory = tempfile::tempdir().unwrap();
    let table = FileId::of(&directory.path().metadata().unwrap());
    fs::write(directory.path().join("file"), "").unwrap();
    let other = FileId::of(&directory.path().join("file").metadata().unwrap());
    let payload: Vec<u8> = (1..=255).collect();
    let mut sums = vec![checksum(&table, 4096, &payload), checksum(&other, 4096, &payload)];
    sums.push(checksum(&table, 8192, &payload));
    for at in 0..payload.len() {
        let mut changed = payload.clone();
        changed[at] ^= 0x10;
        sums.push(checksum(&table, 4096, &changed));
        sums.push(checksum(&table, 4096, &payload[..at]));
        sums.push(checksum(&table, 4096, &vec![0; at + 1]));
    }
    let mut swapped = payload.clone();
    swapped.swap(3, 11);
    sums.push(checksum(&table, 4096, &swapped));
    let different: HashSet<_> = sums.iter().collect();
    assert_eq!(different.len(), sums.len());
}

#[test]
fn it_is_for_one_state_of_one_table_of_one_owner() {
    let directory = tempfile::tempdir().unwrap();
    let (table, text) = table(directory.path());
    let index = path_of(&table);
    assert!(open(&table).is_ok());
    let mode = |mode| fs::set_permissions(&index, fs::Permissions::from_mode(mode)).unwrap();
    mode(0o664);
    assert!(
        matches!(open(&table), Err(NoIndex::NotOurs)),
        "others may write to it"
    );
    mode(0o644);
    let metadata = fs::metadata(&table).unwrap();
    let other = DiskIndex::open(&table, What::Table, &FileId::of(&metadata), metadata.uid() + 1);
    assert!(matches!(other, Err(NoIndex::NotOurs)), "it is another's");
    fs::rename(&index, directory.path().join("elsewhere")).unwrap();
    std::os::unix::fs::symlink("elsewhere", &index).unwrap();
    assert!(matches!(open(&table), Err(NoIndex::NotOurs)), "it is a link");
    fs::rename(directory.path().join("elsewhere"), &index).unwrap();
    assert!(open(&table).is_ok());
    fs::write(&table, text).unwrap();
    assert!(
        matches!(open(&table), Err(NoIndex::NotOurs)),
        "the table was written to"
    );
}

#[test]
fn a_list_is_no_table() {
    let directory = tempfile::tempdir().unwrap();
    let (table, text) = table(directory.path());
    let metadata = fs::metadata(&table).unwrap();
    let (id, owner) = (FileId::of(&metadata), metadata.uid());
    let open = |what| DiskIndex::open(&table, what, &id, owner);
    assert!(open(What::Table).is_ok() && matches!(open(What::List), Err(NoIndex::NotOurs)));
    let image = of_list(text.as_bytes(), &id).unwrap();
    fs::write(path_of(&table), image.bytes).unwrap();
    assert!(open(What::List).is_ok() && matches!(open(What::Table), Err(NoIndex::NotOurs)));
}

#[test]
fn damage_is_found_wherever_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let (table, _) = table(directory.path());
    let index = path_of(&table);
    let whole = fs::read(&index).unwrap();
    let rules = |index: &DiskIndex| {
        let mut request = request("10.0.3.7", true);
        let mut candidates = index.candidates(0);
        let mut found = Vec::new();
        loop {
            match index.next(&mut candidates, &mut request).unwrap() {
                Jump::To(position, ..) => found.push(position),
                Jump::End => return (found, true),
                Jump::Lost => return (found, false),
            }
        }
    };
    let (wanted, _) = rules(&open(&table).unwrap());
    let mut lost = 0;
    for at in (0..whole.len()).step_by(97) {
        for cut in [false, true] {
            let mut bytes = whole.clone();
            if cut {
                bytes.truncate(at);
            } else {
                bytes[at] ^= 0x20;
            }
            fs::write(&index, &bytes).unwrap();
            let Ok(index) = open(&table) else { continue };
            let (found, is_whole) = rules(&index);
            // What is offered before the damage is noticed is right, and what is passed over is too.
            assert!(wanted.starts_with(&found), "byte {at}");
            assert!(!is_whole || found == wanted, "byte {at}");
            lost += u32::from(!is_whole);
        }
    }
    assert!(lost > 10, "damage matters: {lost}");
}
