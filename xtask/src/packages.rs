//! What the test packages need of the machine: their `packages.txt`.
//!
//! Each line names a Debian package to install. `NAME extract` unpacks it in `target/debian` instead, for
//! packages that conflict with others, and installs the libraries it depends on; `@root` says that the tests
//! run as root. `#` begins a comment.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::shell::{Result, as_root, read, root, run, succeeds, target};

/// What one package of tests needs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Needs {
    /// The directory below `tests`.
    pub tests: String,
    /// Debian packages to install.
    pub install: Vec<String>,
    /// Debian packages to unpack.
    pub extract: Vec<String>,
    /// Whether the tests run as root.
    pub root: bool,
}

impl Needs {
    fn parse(tests: &str, text: &str) -> Result<Self> {
        let mut needs = Needs {
            tests: tests.to_owned(),
            ..Needs::default()
        };
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            match line.split_whitespace().collect::<Vec<_>>()[..] {
                [] => {}
                ["@root"] => needs.root = true,
                [name] => needs.install.push(name.to_owned()),
                [name, "extract"] => needs.extract.push(name.to_owned()),
                _ => return Err(format!("tests/{tests}/packages.txt: {line:?} is not understood")),
            }
        }
        Ok(needs)
    }

    /// The needs of every package of tests that has any, by name.
    pub fn all() -> Result<Vec<Self>> {
        let directory = root().join("tests");
        let entries =
            fs::read_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        let mut all = Vec::new();
        for name in names {
            let name = name.to_string_lossy();
            if let Ok(text) = fs::read_to_string(directory.join(&*name).join("packages.txt")) {
                all.push(Needs::parse(&name, &text)?);
            }
        }
        Ok(all)
    }

    /// What of this the machine does not have, each in words.
    pub fn missing(&self) -> Vec<String> {
        let packages = self.install.iter().filter(|name| !is_installed(name));
        let unpacked = self.extract.iter().filter(|name| !is_unpacked(name));
        let mut missing: Vec<_> = packages
            .chain(unpacked)
            .map(|name| format!("package {name}"))
            .collect();
        if self.root && as_root().is_none() {
            missing.push("root".to_owned());
        }
        missing
    }
}

fn is_installed(name: &str) -> bool {
    let state = Command::new("dpkg-query")
        .args(["-W", "-f", "${db:Status-Status}", name])
        .output();
    state.is_ok_and(|state| state.stdout == b"installed")
}

fn unpacked() -> PathBuf {
    target().join("debian")
}

/// Unpacked packages leave a note of their name.
fn is_unpacked(name: &str) -> bool {
    unpacked().join(".unpacked").join(name).exists()
}

/// Installs and unpacks what is missing, as far as that can be done here.
pub fn provide(all: &[Needs]) -> Result<()> {
    let mut install: Vec<_> = all
        .iter()
        .flat_map(|needs| &needs.install)
        .filter(|name| !is_installed(name))
        .collect();
    install.sort();
    install.dedup();
    let extract: Vec<_> = all
        .iter()
        .flat_map(|needs| &needs.extract)
        .filter(|name| !is_unpacked(name))
        .collect();
    if install.is_empty() && extract.is_empty() {
        return Ok(());
    }
    if !succeeds(Command::new("apt-get").arg("--version")) {
        eprintln!("xtask: no apt-get here: nothing is installed");
        return Ok(());
    }
    if let Some(sudo) = as_root() {
        let apt = |arguments: &[&str]| {
            let quiet = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-qq"];
            command(&[sudo, &quiet, arguments].concat())
        };
        run(&mut apt(&["update"]))?;
        let libraries: Vec<_> = extract
            .iter()
            .map(|name| libraries_of(name))
            .collect::<Result<_>>()?;
        let libraries = libraries.iter().flatten().filter(|name| !is_installed(name));
        let names: Vec<_> = install.into_iter().chain(libraries).map(String::as_str).collect();
        if !names.is_empty() {
            let _quiet = NoDaemons::new(sudo)?;
            run(&mut apt(&[
                &["install", "--yes", "--no-install-recommends"],
                &names[..],
            ]
            .concat()))?;
        }
    }
    for name in extract {
        unpack(name)?;
    }
    Ok(())
}

/// The libraries a package depends on, as this release of Debian names them.
fn libraries_of(name: &str) -> Result<Vec<String>> {
    let depends = read(Command::new("apt-cache").args(["depends", "--important", name]))?;
    // A bar stands before an alternative, angle brackets around what other packages provide.
    let wanted = |line: &str| line.strip_prefix("  Depends: ").map(str::to_owned);
    Ok(depends
        .lines()
        .filter_map(wanted)
        .filter(|name| name.starts_with("lib"))
        .collect())
}

/// Downloads a package and unpacks it in `target/debian`. Needs nobody's leave.
fn unpack(name: &str) -> Result<()> {
    let archives = unpacked().join(".archives");
    let notes = unpacked().join(".unpacked");
    for directory in [&archives, &notes] {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    run(Command::new("apt-get")
        .args(["-qq", "download", name])
        .current_dir(&archives))?;
    let prefix = format!("{name}_");
    let found = read(Command::new("ls").arg(&archives))?;
    let archive = found
        .lines()
        .find(|file| file.starts_with(&prefix))
        .ok_or_else(|| format!("apt-get downloaded no {name}"))?;
    run(Command::new("dpkg-deb")
        .arg("-x")
        .arg(archives.join(archive))
        .arg(unpacked()))?;
    fs::write(notes.join(name), "").map_err(|error| error.to_string())
}

/// While this lives, installing a package starts no daemon.
struct NoDaemons {
    sudo: &'static [&'static str],
    made: bool,
}

const POLICY: &str = "/usr/sbin/policy-rc.d";

impl NoDaemons {
    fn new(sudo: &'static [&'static str]) -> Result<Self> {
        let made = !Path::new(POLICY).exists();
        if made {
            let script = format!("printf '#!/bin/sh\\nexit 101\\n' >{POLICY} && chmod 755 {POLICY}");
            run(&mut shell(sudo, &script))?;
        }
        Ok(NoDaemons { sudo, made })
    }
}

impl Drop for NoDaemons {
    fn drop(&mut self) {
        if self.made && run(&mut shell(self.sudo, &format!("rm -f {POLICY}"))).is_err() {
            eprintln!("xtask: {POLICY} is left behind");
        }
    }
}

fn shell(sudo: &[&str], script: &str) -> Command {
    command(&[sudo, &["sh", "-c", script]].concat())
}

fn command(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_installed_or_unpacked() {
        let needs = Needs::parse("x", "# what\n@root\ntcpd  # ours too\n\nxinetd extract\n").unwrap();
        assert_eq!(needs.install, ["tcpd"]);
        assert_eq!(needs.extract, ["xinetd"]);
        assert!(needs.root);
        assert!(Needs::parse("x", "xinetd unpack\n").is_err());
    }
}
