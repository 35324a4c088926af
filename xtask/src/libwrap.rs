//! Links the C library: `libwrap.so.0` with exactly the exports of `exports.list`, and `libwrap.a`.
//!
//! A Rust `cdylib` cannot do it: it drops the symbols of the C part, and a version script brings every other
//! `no_mangle` back. So cargo builds a static library, and the C compiler links it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::dist::{Profile, copy};
use crate::shell::{Result, cargo, read, root, run, run_quietly, target};

/// Builds the library and puts it, its header and its pkg-config file below `into`.
pub fn build(profile: Profile, into: &Path) -> Result<()> {
    let archive = archive(profile)?;
    let exports = exports()?;
    let lib = into.join("usr/lib");
    let work = archive.with_file_name("libwrap-link");
    for directory in [&lib, &work] {
        fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    }
    let silenced = silenced(&archive, &work)?;
    shared(&archive, &silenced, &exports, &work, &lib.join("libwrap.so.0"))?;
    let _ = fs::remove_file(lib.join("libwrap.so"));
    symlink("libwrap.so.0", lib.join("libwrap.so")).map_err(|error| format!("libwrap.so: {error}"))?;
    fixed(&archive, &silenced, &exports, &work, &lib.join("libwrap.a"))?;
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

/// Functions of Rust's own library, by what their names contain: what it prints of the stack where a panic begins,
/// and what it says before it gives up for want of memory. Both would go to standard error, which may be the
/// connection, and read debug information for that, which is a quarter of the library. A guest in other people's
/// processes does neither; panics unwind to the edge all the same, and are logged there.
const SILENT: [&[&str]; 2] = [
    &["DisplayBacktrace", "Display", "3fmt"],
    &["24default_alloc_error_hook"],
];

/// The objects of the archive that hold [`SILENT`] functions, each with a function that returns 0 in their places.
/// The linker takes these before it looks into the archive, and drops all that only those functions used.
fn silenced(archive: &Path, work: &Path) -> Result<Vec<PathBuf>> {
    let nothing = nothing(work)?;
    let mut objects = Vec::new();
    for words in SILENT {
        // Local functions too, and of objects that carry bitcode: nm sees neither.
        let symbols = read(Command::new("readelf").args(["--wide", "--syms"]).arg(archive))?;
        let Some((member, function, size)) = find(&symbols, words) else {
            eprintln!(
                "this Rust has no {}: libwrap.so.0 will be larger than it could be",
                words.join(" ")
            );
            continue;
        };
        let object = work.join(member);
        if !objects.contains(&object) {
            run_quietly(
                Command::new("ar")
                    .current_dir(work)
                    .arg("x")
                    .arg(archive)
                    .arg(member),
            )?;
            objects.push(object.clone());
        }
        let mut code = nothing.clone();
        if code.len() > size {
            return Err(format!("{function} is smaller than a function that returns 0"));
        }
        // As long as before: what is written elsewhere of its length stays true.
        code.resize(size, 0);
        let body = work.join("body");
        fs::write(&body, code).map_err(|error| format!("{}: {error}", body.display()))?;
        let section = format!(".text.{function}");
        run_quietly(
            Command::new("objcopy")
                .arg(format!("--update-section={section}={}", body.display()))
                .arg(format!("--remove-relocations={section}"))
                .arg(&object),
        )?;
    }
    Ok(objects)
}

/// The archive's member that defines the function whose name contains all of `words`, that name, and its length in bytes.
fn find<'a>(symbols: &'a str, words: &[&str]) -> Option<(&'a str, &'a str, usize)> {
    let mut member = "";
    for line in symbols.lines() {
        if let Some(file) = line.strip_prefix("File: ") {
            member = file.rsplit_once('(')?.1.trim_end_matches(')');
            continue;
        }
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, _, size, "FUNC", _, _, section, name] = fields[..] else {
            continue;
        };
        if section != "UND" && words.iter().all(|word| name.contains(word)) {
            return Some((member, name, size.parse().ok()?));
        }
    }
    None
}

/// The machine's code for a function that returns 0.
fn nothing(work: &Path) -> Result<Vec<u8>> {
    let source = work.join("nothing.c");
    let object = work.join("nothing.o");
    let code = work.join("nothing");
    fs::write(&source, "int nothing(void) { return 0; }\n")
        .map_err(|error| format!("{}: {error}", source.display()))?;
    run(Command::new("cc")
        .args(["-O2", "-c", "-o"])
        .arg(&object)
        .arg(&source))?;
    run_quietly(
        Command::new("objcopy")
            .args(["-O", "binary", "-j", ".text"])
            .arg(&object)
            .arg(&code),
    )?;
    fs::read(&code).map_err(|error| format!("{}: {error}", code.display()))
}

/// The static library that cargo builds.
fn archive(profile: Profile) -> Result<PathBuf> {
    let (name, directory) = match profile {
        Profile::Dev => ("dev", "debug"),
        // For size as much as speed: this is loaded into every daemon.
        Profile::Release => ("library", "library"),
    };
    let mut build = cargo();
    build.args([
        "rustc",
        "--quiet",
        "--package",
        "libwrap",
        "--lib",
        "--profile",
        name,
    ]);
    // The one kind alone: beside another, cargo would not optimize across crates.
    build.args(["--crate-type", "staticlib"]);
    if profile == Profile::Release {
        // As little in line as where one optimizes for size. That is what makes it small; the loops stay fast.
        build.args(["--", "-C", "llvm-args=-inline-threshold=50"]);
    }
    run(&mut build)?;
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

fn shared(archive: &Path, silenced: &[PathBuf], exports: &[String], work: &Path, to: &Path) -> Result<()> {
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
    link.arg("-o").arg(to).args(silenced).arg(archive);
    // The unwinder goes into the library: one library less to load, in every process that loads this one.
    run_quietly(link.arg("-static-libgcc"))
}

/// One object with all the library needs, of which only the exports are seen.
fn fixed(archive: &Path, silenced: &[PathBuf], exports: &[String], work: &Path, to: &Path) -> Result<()> {
    let object = work.join("libwrap.o");
    let mut link = Command::new("ld");
    link.args(["-r", "--gc-sections"])
        .args(exports.iter().flat_map(|name| ["-u", name]));
    run_quietly(link.arg("-o").arg(&object).args(silenced).arg(archive))?;
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
    run_quietly(hide.arg(&object))?;
    let _ = fs::remove_file(to);
    run_quietly(Command::new("ar").arg("rcs").arg(to).arg(&object))
}
