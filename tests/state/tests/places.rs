//! A whole database of countries, asked by us and by python3-maxminddb.
//!
//! `TCPWRAP_MMDB` names a database to ask in place of the one that is built here, `TCPWRAP_ADDRESSES` how many addresses
//! to ask for.

#[path = "../../../crates/state/tests/build/mod.rs"]
mod build;

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use build::{Record, Shape, database};
use state::geo::Database;

const ASK: &str = "
import sys, maxminddb
reader = maxminddb.open_database(sys.argv[1], maxminddb.MODE_MEMORY)
version = reader.metadata().ip_version
for line in sys.stdin:
    address = line.strip()
    record = None if ':' in address and version == 4 else reader.get(address)
    record = record or {}
    inner = lambda key: (record.get(key) or {}).get('iso_code') if isinstance(record.get(key), dict) else None
    print(inner('country') or inner('registered_country') or record.get('country_code') or '-')
";

/// Addresses that look random (splitmix64), half of IPv4, and of IPv6 most where addresses are given out.
fn addresses(many: u64) -> impl Iterator<Item = IpAddr> {
    (0..many).map(|n| {
        let mix = |n: u64| {
            let z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ z >> 31
        };
        let bits = mix(2 * n + 1);
        match n % 2 {
            0 => IpAddr::from((bits as u32).to_be_bytes()),
            _ => {
                let high = match n % 8 {
                    1 => bits,
                    _ => 0x2000_0000_0000_0000 | bits >> 3 & 0x0fff_ffff_ffff_ffff,
                };
                IpAddr::from((u128::from(high) << 64 | u128::from(mix(2 * n))).to_be_bytes())
            }
        }
    })
}

#[test]
fn every_address_is_where_python_finds_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = match std::env::var_os("TCPWRAP_MMDB") {
        Some(path) => PathBuf::from(path),
        None => {
            let path = directory.path().join("countries.mmdb");
            let codes = ["DE", "AT", "CH", "FR", "JP", "US", "BR", "ZA"];
            let names: Vec<String> = (0..255).map(|n| format!("{n}.0.0.0/{}", 8 + n % 9)).collect();
            let mut records: Vec<(&str, Record)> = names
                .iter()
                .zip(codes.iter().cycle())
                .enumerate()
                .map(|(n, (name, code))| {
                    let record = match n % 3 {
                        0 => Record::Nested(code, "EU"),
                        1 => Record::Registered(code),
                        _ => Record::Flat(code, n as u32),
                    };
                    (name.as_str(), record)
                })
                .collect();
            records.extend([
                ("2001::/16", Record::Flat("NL", 1)),
                ("2a00::/12", Record::Nested("SE", "EU")),
            ]);
            std::fs::write(
                &path,
                database(
                    Shape {
                        record_size: 28,
                        is_v6: true,
                    },
                    &records,
                ),
            )
            .unwrap();
            path
        }
    };
    let many = std::env::var("TCPWRAP_ADDRESSES").map_or(20_000, |many| many.parse().unwrap());
    let mut python = Command::new("/usr/bin/python3")
        .args(["-c", ASK])
        .arg(&path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = python.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        let mut out = std::io::BufWriter::new(&mut stdin);
        addresses(many).for_each(|address| writeln!(out, "{address}").unwrap());
    });
    let theirs = python.wait_with_output().unwrap();
    writer.join().unwrap();
    assert!(theirs.status.success());
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    let database = Database::of_countries(Some(&path));
    let (mut asked, mut found) = (0, 0);
    for (n, (address, theirs)) in addresses(many).zip(theirs.lines()).enumerate() {
        let country = |stays: bool| {
            let located = database.locate(address, stays).unwrap();
            located
                .and_then(|located| located.country)
                .map_or("-".to_owned(), |country| country.to_string())
        };
        // Databases have codes for what is no country.
        let theirs = if theirs.len() == 2 { theirs } else { "-" };
        assert_eq!(country(true), theirs, "{address}");
        if n % 20 == 0 {
            assert_eq!(country(false), theirs, "{address}, in pieces");
        }
        asked += 1;
        found += u64::from(theirs != "-");
    }
    assert_eq!(asked, many);
    assert!(found > many / 20, "{found}");
}
