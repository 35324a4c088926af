//! `cargo xtask deb`: the Debian packages, by `debian/` and debhelper, in `target/packages/deb`.
//!
//! They are built from what [`dist`] lays out, in a copy of the sources, so that nothing is written beside the
//! checkout. The same sources give the same bytes: times come from `debian/changelog`, and [`dist`] keeps the
//! names of directories out of the programs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist::{self, Profile};
use crate::shell::{Result, root, run, run_quietly, succeeds};

/// Builds the packages; returns the directory they are in.
pub fn build(profile: Profile) -> Result<PathBuf> {
    package(&dist::build_reproducible(profile)?)
}

/// Makes packages of what is laid out in `tree`.
pub fn package(tree: &Path) -> Result<PathBuf> {
    if !succeeds(Command::new("which").args(["dh", "dpkg-buildpackage"])) {
        return Err("debhelper is needed: apt-get install debhelper dpkg-dev".to_owned());
    }
    let into = tree.with_file_name("deb");
    let sources = into.join("tcpwrap");
    if into.exists() {
        fs::remove_dir_all(&into).map_err(|error| format!("{}: {error}", into.display()))?;
    }
    fs::create_dir_all(&sources).map_err(|error| format!("{}: {error}", sources.display()))?;
    run(Command::new("cp")
        .arg("-a")
        .arg(root().join("debian"))
        .arg(&sources))?;
    // The compiler is no package, so what the packages say they are built with is not asked for.
    run_quietly(
        Command::new("dpkg-buildpackage")
            .args(["-b", "-us", "-uc", "-d"])
            .env("DIST", tree)
            .env("DEB_BUILD_OPTIONS", "nocheck")
            .current_dir(&sources),
    )?;
    Ok(into)
}
