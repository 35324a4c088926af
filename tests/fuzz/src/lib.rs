//! What each fuzz target does with its bytes: everything that may be said of any input at all.
//!
//! The targets in `fuzz/` call these under libFuzzer; `tests/seeds.rs` calls them with the committed seeds
//! and mutations of them, in every test run.

#![forbid(unsafe_code)]

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use analysis::check::check;
use analysis::document::{Document, Documents, content};
use analysis::format::format;
use hosts_access::dry::{DryHost, Lookup};
use hosts_access::host::expand;
use hosts_access::source::FileId;
use hosts_access::{Decision, Diagnostic, Policy, Request, Tables, index_file};
use system::{ident, services};
use tempfile::TempDir;

/// What a target does with its bytes.
pub type Body = fn(&[u8]);

/// Every target, by name.
pub const TARGETS: [(&str, Body); 8] = [
    ("tables", tables),
    ("decisions", decisions),
    ("indexes", indexes),
    ("expansions", expansions),
    ("ident", ident_replies),
    ("services", service_files),
    ("databases", databases),
    ("bans", ban_lists),
];

/// Reads, checks and formats a table. Its entries are all of its text, and formatting what is formatted
/// changes nothing.
pub fn tables(data: &[u8]) {
    let document = Document::new("hosts.allow", data);
    let mut end = 0;
    for entry in &document.entries {
        assert_eq!(entry.bytes.start, end, "entries follow one another");
        end = entry.bytes.end;
        let line = document.line(entry);
        let _ = content(&line);
        for at in 0..=line.len() {
            document.position(entry, at);
        }
    }
    let both = Documents {
        allow: Some(&document),
        deny: Some(&document),
    };
    check(both);
    let once = Document::new("hosts.allow", format(&document));
    assert_eq!(format(&once), once.text, "formatting is done once and for all");
}

/// Decides by two tables, of which patterns may name a third file as `LIST`: the scan and the compiled
/// policy must agree. The parts of the input are separated by 0xff.
pub fn decisions(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0xff);
    let [allow, deny, list, daemon, address, name, user] =
        std::array::from_fn(|_| parts.next().unwrap_or_default());
    let directory = TempDir::new().expect("a temporary directory");
    let file = directory.path().join("list").display().to_string();
    let write = |name: &str, text: &[u8]| {
        fs::write(directory.path().join(name), with_list(text, &file)).expect("a file of ours");
    };
    write("hosts.allow", allow);
    write("hosts.deny", deny);
    write("list", list);
    let tables = Tables::in_directory(directory.path());
    let host = DryHost::new(address)
        .named(name)
        .with_user(user)
        .with_server("198.51.100.1", "server.example.org", Some(22))
        .commands_succeed(false);
    let scanned = decided(host.clone(), daemon, |request, host| tables.decide(request, host));
    let compiled = decided(host, daemon, |request, host| {
        Policy::new(tables.clone()).decide(request, host)
    });
    assert_eq!(scanned, compiled, "one evaluator");
}

/// Decides by a deny table and a list, `LIST` to its patterns, with an index beside each, as it was written and then
/// damaged: what the scan without one decides. The parts of the input are separated by 0xff; the last says which bytes are damaged, each by two bytes for
/// the place and one for what is done.
pub fn indexes(data: &[u8]) {
    let mut parts = data.splitn(5, |byte| *byte == 0xff);
    let [rules, daemon, address, name, damage] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let directory = TempDir::new().expect("a temporary directory");
    let table = directory.path().join("hosts.deny");
    // No index is looked for beside a short table.
    let list = directory.path().join("list");
    let rules = with_list(rules, &list.display().to_string());
    let text = [&b"#".repeat(40_000)[..], b"\n", &rules].concat();
    let words = [&b"\n".repeat(40_000)[..], &rules].concat();
    fs::write(&table, &text).expect("a file of ours");
    fs::write(&list, &words).expect("a file of ours");
    let tables = Tables::in_directory(directory.path());
    let decide = || {
        let host = DryHost::new(address).named(name).commands_succeed(false);
        let mut decided = decided(host, daemon, |request, host| tables.decide(request, host));
        decided.1.retain(|line| {
            let text = String::from_utf8_lossy(&line.text);
            !text.contains(".index: damaged, the ")
        });
        decided
    };
    let scanned = decide();
    let [id, list_id] = [&table, &list].map(|path| FileId::of(&fs::metadata(path).expect("our file")));
    let of_text = index_file::of_text(&text, &id).expect("it is not too long");
    let of_list = index_file::of_list(&words, &list_id).expect("it is not too long");
    let mut images = [(&table, of_text.bytes), (&list, of_list.bytes)];
    let write = |images: &[(&std::path::PathBuf, Vec<u8>)]| {
        for (path, image) in images {
            fs::write(index_file::path_of(path), image).expect("a file of ours");
        }
    };
    write(&images);
    assert_eq!(scanned, decide(), "an index changes nothing");
    for damage in damage.chunks_exact(3) {
        let at = usize::from(damage[0]) << 8 | usize::from(damage[1]);
        for (_, image) in &mut images {
            match damage[2] {
                0 => image.truncate(at),
                bits => {
                    let length = image.len().max(1);
                    if let Some(byte) = image.get_mut(at % length) {
                        *byte ^= bits;
                    }
                }
            }
        }
        write(&images);
        assert_eq!(scanned, decide(), "nor does a damaged one");
    }
}

fn decided(
    mut host: DryHost,
    daemon: &[u8],
    decide: impl Fn(&mut Request, &mut DryHost) -> Decision,
) -> (Decision, Vec<Diagnostic>, Vec<Lookup>) {
    let decision = decide(&mut Request::new(daemon).verbose(2), &mut host);
    (decision, host.log, host.lookups)
}

/// `text` with the path for each `LIST`, and no other absolute path: a fuzzer would find devices.
fn with_list(text: &[u8], path: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if let Some(tail) = rest.strip_prefix(b"LIST") {
            out.extend_from_slice(path.as_bytes());
            rest = tail;
        } else {
            let begins_path = *first == b'/'
                && out
                    .last()
                    .is_none_or(|last| !last.is_ascii_digit() && *last != b']');
            out.push(if begins_path { b'|' } else { *first });
            rest = tail;
        }
    }
    out
}

/// Expands a text, with what 0xff separates from it for address, name and user. What was not in the text
/// is harmless.
pub fn expansions(data: &[u8]) {
    let mut parts = data.split(|byte| *byte == 0xff);
    let [text, address, name, user] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let mut host = DryHost::new(address).named(name).with_user(user);
    let mut request = Request::new(name);
    let expanded = expand(text, &mut request, &mut host);
    for byte in &expanded {
        let is_harmless = byte.is_ascii_alphanumeric() || b"!@%-_=+:,./".contains(byte);
        assert!(is_harmless || text.contains(byte), "{byte:#x} comes from nowhere");
    }
    if !text.contains(&b'%') {
        assert_eq!(expanded, text, "literal text is never changed");
    }
}

/// Reads an ident reply. A name has no blanks and no line end, and is not too long.
pub fn ident_replies(data: &[u8]) {
    if let Some(user) = ident::parse(data, 6193, 23) {
        assert!(user.len() <= 255);
        assert!(
            !user
                .iter()
                .any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0))
        );
    }
}

/// Reads the configuration of super servers.
pub fn service_files(data: &[u8]) {
    services::inetd::parse(Path::new("inetd.conf"), data);
    services::systemd::parse(Path::new("a.socket"), data);
    // It follows includes, and a fuzzer would find devices.
    if !data.windows(7).any(|word| word.eq_ignore_ascii_case(b"include")) {
        services::xinetd::parse(Path::new("xinetd.conf"), data);
    }
}

/// Asks a database of countries: whatever is in it, there is an answer or an error, and an end.
pub fn databases(data: &[u8]) {
    for address in [
        "0.0.0.0",
        "127.0.0.1",
        "192.0.2.7",
        "255.255.255.255",
        "::",
        "2001:db8::1",
    ] {
        let address = address.parse().expect("an address");
        if let Ok(Some(located)) = state::geo::locate_in(data, address) {
            assert!(located.network.contains(address), "{located:?}");
        }
    }
}

/// Reads a ban list of any bytes: once, staying, and written anew with an index, it says the same. What is no ban list
/// is not written to.
pub fn ban_lists(data: &[u8]) {
    const NOW: u64 = 1_800_000_000;
    let directory = TempDir::new().expect("a temporary directory");
    let path = directory.path().join("bans");
    fs::write(&path, data).expect("a file of ours");
    let ask = || {
        let addresses = ["192.0.2.7", "10.0.0.1", "2001:db8::1", "::1"];
        addresses.map(|address| {
            let address = address.parse().expect("an address");
            let once = state::bans::look_up(&path, address, NOW);
            assert_eq!(once, state::bans::List::new(&path).look_up(address, NOW));
            once.map(|found| found.map(|found| found.expiry)).map_err(drop)
        })
    };
    let before = ask();
    match state::bans::Writer::new(&path).compact(NOW) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            assert_eq!(fs::read(&path).expect("a file of ours"), data);
        }
        Err(error) => panic!("{error}"),
    }
    assert_eq!(before, ask(), "written anew it says the same");
}
