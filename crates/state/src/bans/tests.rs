//! The list beside a model of it: a map.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::path::Path;

use super::super::*;
use super::index_path;
use crate::network::Network;

const NOW: u64 = 1_800_000_000;

fn ban(network: &str, expiry: Expiry, origin: &str) -> Ban {
    Ban {
        network: network.parse().unwrap(),
        expiry,
        origin: origin.into(),
        reason: "a reason".into(),
    }
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Numbers that look random (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) % end
    }

    /// An address of few, so that networks and addresses meet.
    fn address(&mut self) -> IpAddr {
        match self.below(2) {
            0 => IpAddr::from([10, 0, self.below(4) as u8, self.below(64) as u8]),
            _ => format!("2001:db8:0:{:x}::{:x}", self.below(4), self.below(64))
                .parse()
                .unwrap(),
        }
    }

    fn network(&mut self) -> Network {
        let lengths = [0, 8, 22, 24, 30, 32, 48, 62, 64, 127, 128];
        Network::around(self.address(), lengths[self.below(11) as usize])
    }
}

type Model = BTreeMap<(Network, String), Expiry>;

fn longest(model: &Model, address: IpAddr) -> Option<Expiry> {
    let holds =
        |(network, _): &(Network, String), expiry: &Expiry| network.contains(address) && !expiry.is_over(NOW);
    model
        .iter()
        .filter(|(key, expiry)| holds(key, expiry))
        .map(|(_, expiry)| *expiry)
        .max()
}

#[test]
fn all_ways_to_ask_agree_with_a_map_whatever_is_written() {
    for seed in 0..12 {
        let mut numbers = Numbers(seed);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lists/bans");
        let writer = Writer::new(&path);
        let resident = List::new(&path);
        let mut model = Model::new();
        for _ in 0..60 {
            match numbers.below(10) {
                0..=6 => {
                    let many: Vec<Ban> = (0..=numbers.below(8))
                        .map(|_| Ban {
                            network: numbers.network(),
                            expiry: match numbers.below(4) {
                                0 => Expiry::Never,
                                _ => Expiry::At(NOW - 100 + numbers.below(200)),
                            },
                            origin: format!("origin{}", numbers.below(3)),
                            reason: String::new(),
                        })
                        .collect();
                    for ban in &many {
                        model.insert((ban.network, ban.origin.clone()), ban.expiry);
                    }
                    writer.add(&many).unwrap();
                }
                7 | 8 => {
                    let network = numbers.network();
                    let origin = format!("origin{}", numbers.below(3));
                    let key = (network, origin.clone());
                    let lifted = writer
                        .lift(&|other| other == network, Some(&origin), NOW)
                        .unwrap();
                    let held = model.get(&key).is_some_and(|expiry| !expiry.is_over(NOW));
                    assert_eq!(lifted.len(), usize::from(held));
                    model.remove(&key);
                }
                _ => {
                    writer.compact(NOW).unwrap();
                    std::thread::sleep(FRESH);
                }
            }
            for _ in 0..10 {
                let asked = numbers.address();
                let expected = Ok(longest(&model, asked));
                let once = look_up(&path, asked, NOW);
                assert_eq!(
                    once.clone().map(|found| found.map(|found| found.expiry)),
                    expected,
                    "once: {asked}"
                );
                let stays = resident.look_up(asked, NOW);
                assert_eq!(
                    stays.clone().map(|found| found.map(|found| found.expiry)),
                    expected,
                    "stays: {asked}"
                );
                if let (Ok(Some(found)), Ok(Some(expiry))) = (stays, expected) {
                    let line = resident.ban(&found).expect("the line is where it says");
                    assert_eq!((line.network, line.expiry), (found.network, expiry));
                }
            }
        }
        assert!(index_path(&path).exists(), "an index was used");
    }
}

#[test]
fn each_origin_takes_back_only_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    let writer = Writer::new(&path);
    let both = [
        ban("192.0.2.7", Expiry::Never, "admin"),
        ban("192.0.2.7", Expiry::At(NOW + 60), "fail2ban"),
    ];
    writer.add(&both).unwrap();
    writer
        .lift(
            &|network| network.to_string() == "192.0.2.7",
            Some("fail2ban"),
            NOW,
        )
        .unwrap();
    let found = look_up(&path, address("192.0.2.7"), NOW)
        .unwrap()
        .expect("the administrator's ban holds");
    assert_eq!(ban_at(&path, &found), Some(both[0].clone()));
    // Nor does it come back when the clock is put back.
    writer.lift(&|_| true, None, NOW).unwrap();
    for now in [NOW, NOW - 3600, 1] {
        assert_eq!(look_up(&path, address("192.0.2.7"), now), Ok(None));
    }
}

#[test]
fn what_was_not_finished_is_no_ban_and_is_cut_off() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    let writer = Writer::new(&path);
    writer.add(&[ban("192.0.2.7", Expiry::Never, "admin")]).unwrap();
    let before = fs::read(&path).unwrap();
    let resident = List::new(&path);
    // What a writer leaves who was killed while writing 198.51.100.0/24.
    fs::OpenOptions::new()
        .append(true)
        .open(&path)
        .unwrap()
        .write_all(b"198.51.100.0/2")
        .unwrap();
    for asked in ["198.51.100.1", "192.0.2.8"] {
        assert_eq!(look_up(&path, address(asked), NOW), Ok(None));
        assert_eq!(resident.look_up(address(asked), NOW), Ok(None));
    }
    writer.add(&[ban("203.0.113.1", Expiry::Never, "admin")]).unwrap();
    let after = fs::read_to_string(&path).unwrap();
    assert_eq!(after.as_bytes()[..before.len()], before);
    assert_eq!(&after[before.len()..], "203.0.113.1 never admin a reason\n");
    assert!(resident.look_up(address("203.0.113.1"), NOW).unwrap().is_some());
    assert_eq!(resident.look_up(address("198.51.100.1"), NOW), Ok(None));
}

#[test]
fn a_line_that_cannot_be_read_makes_the_rest_unknown() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    fs::write(&path, "192.0.2.7 never admin x\nx never admin x\n").unwrap();
    let ask = |text: &str| {
        let answers = [
            look_up(&path, address(text), NOW),
            List::new(&path).look_up(address(text), NOW),
        ];
        assert_eq!(answers[0], answers[1]);
        answers[0].clone()
    };
    assert!(matches!(ask("192.0.2.7"), Ok(Some(_))));
    assert!(ask("192.0.2.8").is_err());
    // Nor does writing it anew, and its index, hide it.
    Writer::new(&path).compact(NOW).unwrap();
    assert!(ask("192.0.2.8").is_err());
    assert_eq!(
        contents(&path).unwrap().damaged,
        [(3, b"x never admin x".to_vec())]
    );
}

#[test]
fn a_list_that_cannot_be_read_is_unknown_and_none_is_empty() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    let asked = address("192.0.2.7");
    assert_eq!(look_up(&path, asked, NOW), Ok(None));
    let resident = List::new(&path);
    assert_eq!(resident.look_up(asked, NOW), Ok(None));
    fs::create_dir(&path).unwrap();
    assert!(look_up(&path, asked, NOW).is_err());
    assert!(List::new(&path).look_up(asked, NOW).is_err());
}

#[test]
fn what_is_no_list_is_neither_waited_for_nor_written_to() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    let asked = address("192.0.2.7");
    let said = |error: std::io::Error| error.to_string();
    let write = || {
        let writer = Writer::new(&path);
        let results = [
            writer.add(&[ban("192.0.2.7", Expiry::Never, "admin")]),
            writer.compact(NOW),
            writer
                .try_add(&[ban("192.0.2.7", Expiry::Never, "admin")])
                .map(drop),
        ];
        results.map(|result| said(result.unwrap_err()))
    };
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    assert!(look_up(&path, asked, NOW).is_err() && List::new(&path).look_up(asked, NOW).is_err());
    assert!(contents(&path).is_err());
    write();
    fs::remove_file(&path).unwrap();
    // A disk's worth of nothing.
    let file = fs::File::create(&path).unwrap();
    file.set_len(1 << 42).unwrap();
    assert!(look_up(&path, asked, NOW).is_err() && List::new(&path).look_up(asked, NOW).is_err());
    assert!(write().iter().all(|said| said.contains("not a ban list")));
    assert_eq!(file.metadata().unwrap().len(), 1 << 42);
    // The wrong file.
    let text = "# Whom to refuse\nALL: ALL\nwithout an end";
    fs::write(&path, text).unwrap();
    for said in write() {
        assert!(said.contains("not a ban list: none of its lines"), "{said}");
    }
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn everybody_may_look_into_the_directory_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let made = directory.path().join("a/b");
    // The umask is the process's; no other test of it is disturbed by being given less.
    // SAFETY: umask has no preconditions and cannot fail.
    let before = unsafe { libc::umask(0o077) };
    let added = Writer::new(made.join("bans")).add(&[ban("192.0.2.7", Expiry::Never, "admin")]);
    // SAFETY: as above.
    unsafe { libc::umask(before) };
    added.unwrap();
    for path in ["a", "a/b"] {
        let mode = fs::metadata(directory.path().join(path))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755, "{path}");
    }
}

/// A list of `many` addresses, its index, and one line more.
fn indexed(path: &Path, many: u32) {
    let text: String = (0..many)
        .map(|n| {
            format!(
                "{} never admin x\n",
                IpAddr::from((0x0a00_0000 + n).to_be_bytes())
            )
        })
        .collect();
    fs::write(path, text).unwrap();
    Writer::new(path).compact(NOW).unwrap();
    Writer::new(path)
        .add(&[ban("192.0.2.7", Expiry::Never, "admin")])
        .unwrap();
}

#[test]
fn a_damaged_index_is_done_without() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    indexed(&path, 2000);
    let index = fs::read(index_path(&path)).unwrap();
    for at in (0..index.len()).step_by(997).chain([0, 7, 8, index.len() - 1]) {
        let mut damaged = index.clone();
        damaged[at] ^= 0x10;
        fs::write(index_path(&path), &damaged).unwrap();
        let resident = List::new(&path);
        for (asked, banned) in [
            ("10.0.0.0", true),
            ("10.0.7.207", true),
            ("10.0.7.208", false),
            ("192.0.2.7", true),
        ] {
            let asked = address(asked);
            for answer in [look_up(&path, asked, NOW), resident.look_up(asked, NOW)] {
                assert_eq!(answer.map(|found| found.is_some()), Ok(banned), "{asked} {at}");
            }
        }
    }
    for size in [0, 1, 127, 128, 700, index.len() - 1] {
        fs::write(index_path(&path), &index[..size]).unwrap();
        for answer in [
            look_up(&path, address("10.0.7.207"), NOW),
            List::new(&path).look_up(address("10.0.7.207"), NOW),
        ] {
            assert!(answer.unwrap().is_some(), "{size}");
        }
    }
}

#[test]
fn an_index_of_another_text_is_not_believed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    indexed(&path, 100);
    let mut text = fs::read_to_string(&path).unwrap();
    text.truncate(text.rfind("10.0.0.99").unwrap());
    text.push_str("10.9.0.99 never admin x\n192.0.2.7 never admin a reason\n");
    // The same file, as an editor that writes in place leaves it.
    fs::write(&path, &text).unwrap();
    for (asked, banned) in [("10.0.0.99", false), ("10.9.0.99", true)] {
        for answer in [
            look_up(&path, address(asked), NOW),
            List::new(&path).look_up(address(asked), NOW),
        ] {
            assert_eq!(answer.map(|found| found.is_some()), Ok(banned), "{asked}");
        }
    }
}

#[test]
fn many_writers_and_readers_at_once_lose_nothing() {
    const EACH: u8 = 60;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    let resident = List::new(&path);
    std::thread::scope(|scope| {
        for writer in 0..6u8 {
            let (path, resident) = (&path, &resident);
            scope.spawn(move || {
                for n in 0..EACH {
                    let text = format!("10.0.{writer}.{n}");
                    let mut one = ban(&text, Expiry::Never, "admin");
                    one.origin = format!("writer{writer}");
                    Writer::new(path).add(&[one]).unwrap();
                    // Acknowledged is in force, for everybody.
                    assert!(look_up(path, address(&text), NOW).unwrap().is_some());
                    assert!(resident.look_up(address(&text), NOW).unwrap().is_some());
                }
            });
        }
        scope.spawn(|| {
            for _ in 0..30 {
                Writer::new(&path).compact(NOW).unwrap();
            }
        });
    });
    let contents = contents(&path).unwrap();
    assert_eq!(
        (contents.bans.len(), contents.damaged.len()),
        (6 * usize::from(EACH), 0)
    );
}

#[test]
fn a_queue_waits_for_nobody() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    Writer::new(&path)
        .add(&[ban("192.0.2.7", Expiry::Never, "admin")])
        .unwrap();
    let lock = fs::File::open(directory.path().join("bans.lock/lock")).unwrap();
    lock.lock().unwrap();
    let queue = Queue::new(&path);
    queue.add(ban("192.0.2.8", Expiry::Never, "rule")).unwrap();
    assert_eq!((queue.count_waiting(), queue.lost()), (1, 0));
    assert_eq!(look_up(&path, address("192.0.2.8"), NOW), Ok(None));
    lock.unlock().unwrap();
    queue.flush().unwrap();
    assert_eq!((queue.count_waiting(), queue.lost()), (0, 0));
    assert!(look_up(&path, address("192.0.2.8"), NOW).unwrap().is_some());
    // What cannot be written is lost, and says so.
    let queue = Queue::new("/proc/nowhere/bans");
    assert!(queue.add(ban("192.0.2.8", Expiry::Never, "rule")).is_err());
    assert_eq!(queue.lost(), 1);
}

#[test]
fn nobody_else_can_take_the_lock() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("bans");
    Writer::new(&path)
        .add(&[ban("192.0.2.7", Expiry::Never, "admin")])
        .unwrap();
    let mode = |file: &str| {
        fs::metadata(directory.path().join(file))
            .unwrap()
            .permissions()
            .mode()
            & 0o777
    };
    assert_eq!(mode("bans.lock"), 0o700);
    assert_eq!(mode("bans"), 0o644);
}

#[test]
fn threads_that_ban_at_once_lose_nothing() {
    const EACH: u8 = 50;
    let directory = tempfile::tempdir().unwrap();
    let queue = Queue::new(directory.path().join("bans"));
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let queue = &queue;
            scope.spawn(move || {
                for n in 0..EACH {
                    let one = ban(&format!("10.0.{thread}.{n}"), Expiry::Never, "rule");
                    queue.add(one).unwrap();
                }
            });
        }
    });
    queue.flush().unwrap();
    assert_eq!((queue.lost(), queue.count_waiting()), (0, 0));
    let all = contents(&directory.path().join("bans")).unwrap().bans.len();
    assert_eq!(all, 8 * usize::from(EACH));
}
