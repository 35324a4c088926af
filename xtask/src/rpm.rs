//! `cargo xtask rpm`: packages for Fedora and RHEL, by `dist/rpm/tcpwrap.spec`, in `target/packages/rpm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist::{self, Profile};
use crate::shell::{Result, root, run_quietly, succeeds};

/// Builds the packages; returns the directory they are in.
pub fn build(profile: Profile) -> Result<PathBuf> {
    package(&dist::build_reproducible(profile)?)
}

/// Makes packages of what is laid out in `tree`.
pub fn package(tree: &Path) -> Result<PathBuf> {
    if !succeeds(Command::new("rpmbuild").arg("--version")) {
        return Err("rpmbuild is needed: dnf install rpm-build, or apt-get install rpm".to_owned());
    }
    let top = tree.with_file_name("rpm");
    if top.exists() {
        fs::remove_dir_all(&top).map_err(|error| format!("{}: {error}", top.display()))?;
    }
    let define = |name: &str, value: &str| ["--define".to_owned(), format!("{name} {value}")];
    run_quietly(
        Command::new("rpmbuild")
            .arg("-bb")
            .args(define("_topdir", &top.display().to_string()))
            .args(define("tcpwrap_dist", &tree.display().to_string()))
            .args(define("tcpwrap_version", env!("CARGO_PKG_VERSION")))
            .args(define("_buildhost", "localhost"))
            .args(define("use_source_date_epoch_as_buildtime", "1"))
            .args(define("clamp_mtime_to_source_date_epoch", "1"))
            .env("SOURCE_DATE_EPOCH", dist::time()?)
            .arg(root().join("dist/rpm/tcpwrap.spec")),
    )?;
    Ok(top.join("RPMS"))
}
