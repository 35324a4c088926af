//! Whatever stands in configuration files and tables, nothing panics, and whatever is read points at it.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use system::services::{Listing, Services, inetd, systemd, xinetd};
use tools_tests::{Host, Whose, own_rules, said};

/// Text made of the words that the files are made of, and of anything.
fn text() -> impl Strategy<Value = Vec<u8>> {
    const WORDS: [&str; 48] = [
        "service",
        "defaults",
        "{",
        "}",
        "=",
        "+=",
        "-=",
        "server",
        "server_args",
        "flags",
        "NAMEINARGS",
        "NOLIBWRAP",
        "disable",
        "yes",
        "type",
        "INTERNAL",
        "RPC",
        "enabled",
        "disabled",
        "id",
        "libwrap",
        "socket_type",
        "stream",
        "dgram",
        "tcp",
        "rpc/tcp",
        "nowait",
        "root",
        "/usr/sbin/tcpd",
        "tcpd",
        "/bin/cat",
        "internal",
        "#",
        ":",
        "\n",
        "\n",
        "\n",
        " ",
        "\t",
        "\\\n",
        "[Socket]\n",
        "[Service]\n",
        "ListenStream=",
        "ExecStart=",
        "@",
        "\"",
        "'",
        "\r\n",
    ];
    let word = prop_oneof![
        8 => prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec()),
        2 => Just(b" ".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..6),
    ];
    prop::collection::vec(word, 0..80).prop_map(|words| words.concat())
}

fn lines(text: &[u8]) -> u32 {
    u32::try_from(text.split(|byte| *byte == b'\n').count()).unwrap()
}

fn holds_together(listing: &Listing, text: &[u8]) {
    let launches = listing.launches.iter().map(|launch| &launch.place);
    let problems = listing.problems.iter().flat_map(|problem| &problem.place);
    for place in launches.chain(problems) {
        assert!((1..=lines(text)).contains(&place.line), "line {}", place.line);
    }
    // Looking at the programs named must not fail either.
    let services = Services::new(listing.clone(), &|_, _| false);
    assert!(services.services.len() >= listing.launches.len());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn inetd_conf(text in text()) {
        holds_together(&inetd::parse(Path::new("inetd.conf"), &text), &text);
    }

    #[test]
    fn xinetd_conf(text in text()) {
        holds_together(&xinetd::parse(Path::new("xinetd.conf"), &text), &text);
    }

    #[test]
    fn units(text in text()) {
        for setting in systemd::parse(Path::new("a.socket"), &text) {
            prop_assert!((1..=lines(&text)).contains(&setting.place.line));
            prop_assert!(!setting.value.contains(&b'\n'));
        }
    }

    #[test]
    fn any_bytes(text in prop::collection::vec(any::<u8>(), 0..400)) {
        holds_together(&inetd::parse(Path::new("i"), &text), &text);
        holds_together(&xinetd::parse(Path::new("x"), &text), &text);
        systemd::parse(Path::new("a.service"), &text);
    }
}

#[test]
fn a_unit_directory_of_rubbish() {
    let directory = tempfile::tempdir().unwrap();
    let wants = directory.path().join("sockets.target.wants");
    fs::create_dir_all(&wants).unwrap();
    let rubbish: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    for (number, name) in [
        "a.socket",
        "b@.socket",
        "b@c.socket",
        "@.socket",
        ".socket",
        "d.socket",
    ]
    .iter()
    .enumerate()
    {
        fs::write(wants.join(name), &rubbish).unwrap();
        let text = [
            b"[Socket]\nListenStream=1\nService=",
            &rubbish[number * 7..number * 7 + 30],
            b"\n",
        ]
        .concat();
        fs::write(directory.path().join(name), text).unwrap();
    }
    // A directory and a FIFO where files are expected.
    fs::create_dir(directory.path().join("d.service")).unwrap();
    let listing = systemd::read(&[directory.path(), Path::new("/nonexistent")]);
    assert_eq!(listing.launches, []);
    assert!(listing.problems.len() >= 3);
}

#[test]
fn fifos_do_not_hold_the_reader_up() {
    support::alone(|machine| {
        let host = Host::on(machine);
        host.put(
            "/etc/xinetd.conf",
            "includedir /etc/xinetd.d\ninclude /etc/xinetd.fifo\n",
        );
        host.put("/etc/hosts.allow", "sshd: /srv/fifo\n");
        host.shell("mkdir /etc/xinetd.d; mkfifo /etc/xinetd.d/a /etc/xinetd.fifo /srv/fifo");
        let said = said(&host.ours("tcpdchk", &["-v"]));
        assert!(
            said.contains("/etc/xinetd.fifo: cannot be included: not a regular file"),
            "{said}"
        );
        assert!(
            said.contains("/srv/fifo: matches nothing: not a regular file"),
            "{said}"
        );
    });
}

/// Tables of rubbish, to the programs themselves: they end by themselves, with 0 or 1.
#[test]
fn tables_of_rubbish() {
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed >> 33).unwrap() % below
    };
    let pieces: Vec<Vec<u8>> = own_rules()
        .iter()
        .flat_map(|directory| fs::read(directory.join("hosts.allow")))
        .collect();
    support::alone(|machine| {
        let host = Host::on(machine);
        for _ in 0..30 {
            let mut table = || {
                let mut text = Vec::new();
                for _ in 0..6 {
                    let piece = &pieces[random(pieces.len())];
                    text.extend_from_slice(&piece[random(piece.len())..]);
                    text.push(u8::try_from(random(256)).unwrap());
                }
                text
            };
            let directory = host.tables("rubbish", Some(&table()), Some(&table()));
            let asked: [(_, &[&str]); 2] = [
                ("tcpdchk", &["-adv"]),
                (
                    "tcpdmatch",
                    &["-d", "sshd@one.example.com", "u@multi.example.com"],
                ),
            ];
            for (program, arguments) in asked {
                let output = host.run(&directory, Whose::Ours, program, arguments);
                assert!(matches!(output.status.code(), Some(0 | 1)), "{}", output.status);
                assert!(!said(&output).contains("panicked"));
            }
        }
    });
}
