//! Whole processes that decide once, on our libwrap, in turn: by a rule with an address, and by one that asks.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

const ROUNDS: usize = 400;
/// The script takes long enough to be seen in one of so many.
const SELDOM: usize = 8;
const ADDRESS: &str = "an address";
const EMPTY: &str = "empty tables";
const COUNTRY: &str = "{country}";
const SCRIPT: &str = "aclexec of a script with mmdblookup";
/// In a country, and not banned.
const CLIENT: &str = "81.2.69.142";

struct Case {
    name: &'static str,
    rule: &'static str,
    /// Microseconds of the whole process, and of the decision in it.
    whole: Vec<f64>,
    decision: Vec<f64>,
}

/// Prints the table.
pub fn run(has_database: bool) -> Result<(), String> {
    let problem = |error: std::io::Error| error.to_string();
    let this = std::env::current_exe().map_err(problem)?;
    let library = this.with_file_name("../dist/usr/lib");
    if !library.join("libwrap.so.0").exists() {
        println!("\nno whole processes: {} has no libwrap.so.0", library.display());
        return Ok(());
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference.c");
    let built = Command::new("cc")
        .args(["-O2", "-o", "/srv/program"])
        .arg(source)
        .arg("-lwrap")
        .status()
        .map_err(problem)?;
    if !built.success() {
        return Err("cc cannot build reference.c: is libwrap0-dev installed?".into());
    }
    let mut cases = vec![
        (EMPTY, ""),
        (ADDRESS, "198.51.100.1"),
        ("{banned}, 1,000 of 1,001,000 bans after the index", "{banned}"),
        ("limit", "ALL: limit 5/minute"),
        ("{time}", "{time=Mon-Sun/0000-0001/UTC}"),
    ];
    if has_database {
        cases.insert(2, (COUNTRY, "{country=DE}"));
    }
    let mut cases: Vec<Case> = cases.into_iter().map(|(name, rule)| case(name, rule)).collect();
    let has_script = has_database && script().map_err(problem)?;
    if has_script {
        cases.push(case(SCRIPT, "ALL: aclexec /srv/where %a"));
    }
    for round in 0..ROUNDS {
        let few = cases.len() - usize::from(has_script && round % SELDOM > 0);
        for case in &mut cases[..few] {
            case.run(&library)?;
        }
    }
    println!(
        "\n{:<52}{:>9}{:>8}{:>10}",
        "microseconds, medians", "process", "ratio", "decision"
    );
    let [empty, country, script] = [EMPTY, COUNTRY, SCRIPT].map(|name| {
        let found = cases.iter().find(|case| case.name == name);
        found.map(|case| (case.whole.clone(), case.decision.clone()))
    });
    let mut first = None;
    for case in &mut cases {
        let [whole, decision] = [&mut case.whole, &mut case.decision].map(|times| median(times));
        if case.name == ADDRESS {
            first = Some(whole);
        }
        let ratio = first.map_or(String::new(), |first| format!("{:.3}", whole / first));
        println!("{:<52}{whole:>9.0}{ratio:>8}{decision:>10.1}", case.name);
    }
    if let (Some((empty, _)), Some(country), Some(script)) = (empty, country, script) {
        // What a rule adds is the median of what each process takes more than the one with empty tables before it.
        let added = |whole: &[f64], step: usize| {
            let pairs = whole.iter().zip(empty.iter().step_by(step));
            median(&mut pairs.map(|(with, without)| with - without).collect::<Vec<_>>())
        };
        let (by_country, by_script) = (added(&country.0, 1), added(&script.0, SELDOM));
        println!(
            "the rule adds to a process: {{country}} {by_country:.0}, the script {by_script:.0}: {:.0} times",
            by_script / by_country
        );
        let [country, script] =
            [country, script].map(|(mut whole, mut decision)| (median(&mut whole), median(&mut decision)));
        println!(
            "the script's decision {:.0} times, its process {:.1} times {{country}}'s",
            script.1 / country.1,
            script.0 / country.0
        );
    }
    without_index(&mut cases, &library)
}

/// The same of the list as it is without an index, and of one all of which is in the index.
fn without_index(cases: &mut [Case], library: &Path) -> Result<(), String> {
    let problem = |error: std::io::Error| error.to_string();
    let writer = state::bans::Writer::new("/srv/bans");
    writer.compact(crate::questions::NOW).map_err(problem)?;
    let index = PathBuf::from("/srv/bans.index");
    let mut banned: Vec<&mut Case> = cases
        .iter_mut()
        .filter(|case| {
            matches!(
                case.name,
                ADDRESS | "{banned}, 1,000 of 1,001,000 bans after the index"
            )
        })
        .collect();
    for (name, rounds) in [
        ("{banned}, 1,001,000 bans, indexed", ROUNDS),
        ("{banned}, without an index", 10),
    ] {
        if rounds < ROUNDS {
            fs::remove_file(&index).map_err(problem)?;
        }
        for case in &mut banned {
            case.whole.clear();
            case.decision.clear();
        }
        for _ in 0..rounds {
            for case in &mut banned {
                case.run(library)?;
            }
        }
        let [first, asked] = [0, 1].map(|at: usize| median(&mut banned[at].whole));
        let decision = median(&mut banned[1].decision);
        println!("{name:<52}{asked:>9.0}{:>8.3}{decision:>10.1}", asked / first);
    }
    Ok(())
}

fn case(name: &'static str, rule: &'static str) -> Case {
    Case {
        name,
        rule,
        whole: Vec::new(),
        decision: Vec::new(),
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

impl Case {
    fn run(&mut self, library: &Path) -> Result<(), String> {
        let problem = |error: std::io::Error| error.to_string();
        let (allow, deny) = match self.rule {
            "" => (String::new(), ""),
            rule => (format!("sshd: {rule}\n"), "ALL: ALL\n"),
        };
        fs::write("/srv/hosts.allow", allow).map_err(problem)?;
        fs::write("/srv/hosts.deny", deny).map_err(problem)?;
        let start = Instant::now();
        let output = Command::new("/srv/program")
            .args([
                "/srv/hosts.allow",
                "/srv/hosts.deny",
                "sshd",
                "unknown",
                "1",
                CLIENT,
            ])
            .env("LD_LIBRARY_PATH", library)
            .stderr(Stdio::inherit())
            .output()
            .map_err(problem)?;
        self.whole.push(start.elapsed().as_secs_f64() * 1e6);
        let text = String::from_utf8_lossy(&output.stdout);
        let decision = text
            .split_whitespace()
            .next()
            .and_then(|figure| figure.parse::<f64>().ok());
        self.decision
            .push(decision.ok_or("the program says nothing")? / 1e3);
        Ok(())
    }
}

/// What people do today. False, where there is no mmdblookup.
fn script() -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    let mut file = fs::File::create("/srv/where")?;
    file.write_all(
        b"#!/bin/sh
case $(mmdblookup --file /srv/countries --ip \"$1\" country_code) in *'\"DE\"'*) exit 0 ;; esac
exit 1
",
    )?;
    file.set_permissions(fs::Permissions::from_mode(0o755))?;
    let version = Command::new("mmdblookup").arg("--version").output();
    Ok(version.is_ok_and(|version| version.status.success()))
}
