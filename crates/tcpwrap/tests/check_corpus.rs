//! Published rule files, where they are at hand: every class of mistake known to be in them is found. Nothing
//! of them is in this repository.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The folder, from the environment or beside the repository.
fn corpus() -> Option<PathBuf> {
    let named = std::env::var_os("TCPWRAP_CORPUS").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .map(|directory| directory.join("shared/corpus"));
    named.into_iter().chain(beside).find(|path| path.is_dir())
}

#[test]
fn every_class_of_mistake_is_found_in_published_files() {
    let Some(corpus) = corpus() else {
        eprintln!("not tested: no folder of published rule files here");
        return;
    };
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut directories: Vec<_> = std::fs::read_dir(&corpus)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("hosts.allow").exists() || path.join("hosts.deny").exists())
        .collect();
    directories.sort();
    for directory in &directories {
        let output = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
            .args(["check", "--json", "--rules"])
            .arg(directory)
            .output()
            .unwrap();
        assert!(output.stderr.is_empty(), "{output:?}");
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        // Several of one kind in one file are one mistake made.
        let mut codes: Vec<_> = json["result"]["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap().to_owned())
            .collect();
        codes.sort();
        codes.dedup();
        for code in codes {
            *counts.entry(code).or_default() += 1;
        }
        // And formatting any of them keeps every rule.
        let output = Command::new(env!("CARGO_BIN_EXE_tcpwrap"))
            .args(["fmt", "--diff"])
            .arg(directory)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    // The classes of the survey, most frequent first, with the number of files at least.
    for (class, codes, least) in [
        ("never-reached rule", &["W401", "W402"][..], 15),
        ("words after an inline #", &["W021"], 8),
        ("IPv6 without brackets", &["W201"], 6),
        ("daemon that is no process name", &["W123", "W107"], 6),
        ("no newline at the end", &["W001"], 7),
        ("IPv4 net with host bits", &["W205"], 5),
        ("no colon", &["W004", "W006"], 3),
        (
            "impossible address or mask",
            &["W213", "W216", "W209", "W208", "W211"],
            4,
        ),
        ("empty client list", &["W101"], 1),
        ("placeholder left in", &["W007"], 4),
        ("address prefix without its last dot", &["W214"], 3),
        ("command without spawn", &["W302"], 2),
        ("text after allow or deny", &["W303"], 1),
        ("pasted junk", &["W006"], 2),
        ("indented #", &["W022"], 1),
        ("spawn as if its status mattered", &["W311"], 2),
        ("unescaped colon in a command", &["W308"], 1),
        ("EXPECT or AND for EXCEPT", &["W105"], 2),
        ("prefix inside the brackets", &["W202"], 1),
        ("daemon and client fields swapped", &["W107"], 1),
    ] {
        let found: usize = codes
            .iter()
            .map(|code| counts.get(*code).copied().unwrap_or(0))
            .sum();
        assert!(
            found >= least,
            "{class}: {found} files, at least {least} expected; {counts:?}"
        );
    }
}
