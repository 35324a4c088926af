//! The index in a file offers the same rules as the one in memory, and nothing where it is damaged or another's.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::read::{DiskIndex, Jump, NoIndex};
use super::{What, compile, of_list, path_of};
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
