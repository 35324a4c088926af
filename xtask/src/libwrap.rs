//! Links the C library: `libwrap.so.0` with exactly the exports of `exports.list`, and `libwrap.a`.
//!
//! A Rust `cdylib` cannot do it: it drops the symbols of the C part, and a version script brings every other
//! `no_mangle` back. So cargo builds a static library, and the C compiler links it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use crate::dist::{Profile, copy};
use crate::shell::{Result, cargo, read, root, run, target};

/// Builds the library and puts it, its header and its pkg-config file below `into`.
pub fn build(profile: Profile, into: &Path) -> Result<()> {
    let archive = archive(profile)?;
    let exports = exports()?;
    let lib = into.join("usr/lib");
    let work = archive.with_file_name("libwrap-link");
    for directory in [&lib, &work] {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    shared(&archive, &exports, &work, &lib.join("libwrap.so.0"))?;
    let _ = fs::remove_file(lib.join("libwrap.so"));
    symlink("libwrap.so.0", lib.join("libwrap.so")).map_err(|error| format!("libwrap.so: {error}"))?;
    fixed(&archive, &exports, &work, &lib.join("libwrap.a"))?;
    let package = root().join("crates/libwrap");
    copy(
        &package.join("include/tcpd.h"),
        &into.join("usr/include/tcpd.h"),
        0o644,
    )?;
    copy(
        &package.join("libwrap.pc"),
        &lib.join("pkgconfig/libwrap.pc"),
        0o644,
    )
}

/// What Rust's own library does before it unwinds, and before it gives up for want of memory: it says so on standard
/// error, which may be the connection, and reads debug information for that. A guest in other people's processes does
/// not, and without the reading it is a quarter smaller. Panics unwind to the edge all the same, and are logged there.
const HOOKS: [&str; 2] = [
    "3std9panicking12default_hook",
    "3std5alloc24default_alloc_error_hook",
];

/// Options for the linker that put a function which does nothing in the place of [`HOOKS`].
fn without_hooks(archive: &Path) -> Result<Vec<String>> {
    // nm takes objects that carry bitcode for a compiler's own, and sees nothing in them.
    let symbols = read(Command::new("readelf").args(["--wide", "--syms"]).arg(archive))?;
    let global = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        match words[..] {
            [_, _, _, "FUNC", "GLOBAL", _, section, name] if section != "UND" => Some(name.to_owned()),
            _ => None,
        }
    };
    let mut options = Vec::new();
    for hook in HOOKS {
        // Older compilers add a hash.
        let is_hook = |name: &String| name.ends_with(hook) || name.contains(&format!("{hook}17h"));
        match symbols.lines().filter_map(global).find(is_hook) {
            Some(name) => options.push(format!("-Wl,--defsym={name}=wrap_call_nothing")),
            None => eprintln!("this Rust has no {hook}: libwrap.so.0 will be larger than it could be"),
        }
    }
    Ok(options)
}

/// The static library that cargo builds.
fn archive(profile: Profile) -> Result<std::path::PathBuf> {
    let (name, directory) = match profile {
        Profile::Dev => ("dev", "debug"),
        // For size as much as speed: this is loaded into every daemon.
        Profile::Release => ("library", "library"),
    };
    run(cargo().args(["build", "--quiet", "--package", "libwrap", "--profile", name]))?;
    Ok(target().join(directory).join("liblibwrap.a"))
}

/// The names the library exports.
fn exports() -> Result<Vec<String>> {
    let path = root().join("crates/libwrap/exports.list");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Ok(lines
        .filter_map(|line| line.split_whitespace().nth(1))
        .map(str::to_owned)
        .collect())
}

fn shared(archive: &Path, exports: &[String], work: &Path, to: &Path) -> Result<()> {
    let script = work.join("exports.map");
    let names: String = exports.iter().map(|name| format!("    {name};\n")).collect();
    fs::write(&script, format!("{{\n  global:\n{names}  local:\n    *;\n}};\n"))
        .map_err(|error| format!("{}: {error}", script.display()))?;
    let mut link = Command::new("cc");
    link.args([
        "-shared",
        "-Wl,-soname,libwrap.so.0",
        "-Wl,--gc-sections",
        "-Wl,--as-needed",
        "-Wl,-z,relro,-z,now",
    ]);
    link.args([
        "-Wl,-z,defs",
        "-Wl,--hash-style=gnu",
        "-Wl,--build-id",
        "-Wl,-O1",
        "-s",
    ]);
    link.arg(format!("-Wl,--version-script={}", script.display()));
    link.args(exports.iter().map(|name| format!("-Wl,-u,{name}")));
    link.args(without_hooks(archive)?);
    // The unwinder goes into the library: one library less to load, in every process that loads this one.
    run(link.arg("-o").arg(to).arg(archive).arg("-static-libgcc"))
}

/// One object with all the library needs, of which only the exports are seen.
fn fixed(archive: &Path, exports: &[String], work: &Path, to: &Path) -> Result<()> {
    let object = work.join("libwrap.o");
    let mut link = Command::new("ld");
    link.args(["-r", "--gc-sections"])
        .args(exports.iter().flat_map(|name| ["-u", name]));
    run(link.arg("-o").arg(&object).arg(archive))?;
    let mut hide = Command::new("objcopy");
    hide.args(exports.iter().map(|name| format!("--keep-global-symbol={name}")));
    // A program's own definitions of these come first.
    hide.args([
        "--weaken-symbol=allow_severity",
        "--weaken-symbol=deny_severity",
        "--strip-debug",
        // Rust's own library carries its code a second time, for a linker that is not this one.
        "--remove-section=.llvmbc",
        "--remove-section=.llvmcmd",
    ]);
    run(hide.arg(&object))?;
    let _ = fs::remove_file(to);
    read(Command::new("ar").arg("rcs").arg(to).arg(&object)).map(drop)
}
