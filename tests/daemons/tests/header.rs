//! Programs in C and C++ build with our header and library, shared and static, and are answered.

#![forbid(unsafe_code)]

use std::path::Path;
use std::process::Command;

use daemons_tests::{Whose, said, source};

/// Builds `decide.c` and runs it on one allowed and one denied client.
fn decides(compiler: &str, arguments: &[&str], link: impl Fn(&mut Command)) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name);
    std::fs::write(path("allow"), "sshd: 192.0.2.0/24: severity mail.notice\n").expect("a table");
    std::fs::write(path("deny"), "ALL: ALL\n").expect("a table");
    let mut build = Command::new(compiler);
    build
        .args(["-Wall", "-Wextra", "-Werror", "-O2"])
        .args(arguments)
        .arg("-I")
        .arg(Whose::Ours.include())
        .arg(source("decide.c"))
        // Whatever the source's name ends in, what follows is no source.
        .args(["-x", "none", "-o"])
        .arg(path("decide"));
    link(&mut build);
    said(&mut build);
    let ask = |address: &str| {
        said(
            Whose::Ours
                .command(path("decide"))
                .args([path("allow"), path("deny")])
                .args(["sshd", "host.example.org", address]),
        )
    };
    // mail.notice is 2 << 3 | 5, and authentication info, the program's own, 6.
    assert_eq!(
        ask("192.0.2.7"),
        "1 1 host.example.org sshd host.example.org 21\n"
    );
    assert_eq!(
        ask("198.51.100.7"),
        "0 0 host.example.org sshd host.example.org 6\n"
    );
}

fn shared(build: &mut Command) {
    build.arg("-L").arg(Whose::Ours.directory()).arg("-lwrap");
}

fn archive(build: &mut Command) {
    let archive: &Path = &Whose::Ours.directory().join("libwrap.a");
    build.arg(archive);
}

#[test]
fn c_shared() {
    decides("gcc", &["-std=c99"], shared);
}

#[test]
fn c_for_six_shared() {
    decides("gcc", &["-DINET6", "-pedantic"], shared);
}

#[test]
fn c_with_the_archive() {
    decides("gcc", &[], archive);
}

#[test]
fn c_wholly_static() {
    decides("gcc", &["-static"], shared);
}

/// What `pkg-config` says that a program needs.
fn by_pkg_config(arguments: &[&str], build: &mut Command) {
    let libraries = Whose::Ours.directory();
    // Where it is installed for the test is a system of its own.
    let system = libraries.ancestors().nth(2).expect("usr/lib");
    let flags = said(
        Command::new("pkg-config")
            .args(["--cflags", "--libs"])
            .args(arguments)
            .arg("libwrap")
            .env("PKG_CONFIG_SYSROOT_DIR", system)
            // Even where pkg-config takes them for the machine's own.
            .envs(["PKG_CONFIG_ALLOW_SYSTEM_CFLAGS", "PKG_CONFIG_ALLOW_SYSTEM_LIBS"].map(|name| (name, "1")))
            .env("PKG_CONFIG_LIBDIR", libraries.join("pkgconfig")),
    );
    let header = format!("-I{}", Whose::Ours.include().display());
    assert!(flags.split_whitespace().any(|flag| flag == header), "{flags}");
    build.args(flags.split_whitespace());
}

#[test]
fn c_by_pkg_config() {
    decides("gcc", &[], |build| by_pkg_config(&[], build));
    decides("gcc", &["-static"], |build| by_pkg_config(&["--static"], build));
}

#[test]
fn cxx_shared() {
    decides("g++", &["-x", "c++", "-Wno-write-strings"], shared);
}

#[test]
fn cxx_with_the_archive() {
    decides("g++", &["-x", "c++", "-DINET6"], archive);
}
