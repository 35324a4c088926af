//! The interface that programs built for Debian's library find in ours: symbols, name, needs, structures.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use daemons_tests::{Whose, said, source};

/// Exported symbols: type as `nm` has it, name, and the size of data.
fn exported(whose: Whose) -> BTreeSet<(char, String, Option<u64>)> {
    let listed = said(
        Command::new("nm")
            .args(["-D", "-S", "--defined-only"])
            .arg(whose.shared()),
    );
    let symbol = |line: &str| {
        let [_address, size, kind, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line:?} is no symbol");
        };
        let kind = kind.chars().next().expect("a letter");
        let size = u64::from_str_radix(size, 16).expect("a size");
        // The machine code of a function is as long as it is.
        let size = (kind != 'T').then_some(size);
        // A variable is the same for programs whether it is kept among the zeros, the constants or the rest.
        let kind = match kind {
            'B' | 'D' | 'R' => 'D',
            kind => kind,
        };
        (kind, name.to_owned(), size)
    };
    listed.lines().map(symbol).collect()
}

/// `readelf -d`: what stands in brackets for this tag.
fn dynamic(whose: Whose, tag: &str) -> Vec<String> {
    let listed = said(Command::new("readelf").args(["-d", "-W"]).arg(whose.shared()));
    let lines = listed.lines().filter(|line| line.contains(&format!("({tag})")));
    let bracketed = |line: &str| line.split(['[', ']']).nth(1).map(str::to_owned);
    lines.filter_map(bracketed).collect()
}

#[test]
fn exported_symbols_are_those_of_the_reference() {
    // Whether a symbol is weak matters to those who link statically alone; the reference's releases differ in it.
    let [ours, reference] = [Whose::Ours, Whose::Reference].map(|whose| {
        let strong = |(kind, name, size)| (if kind == 'V' { 'D' } else { kind }, name, size);
        exported(whose).into_iter().map(strong).collect::<BTreeSet<_>>()
    });
    assert_eq!(ours, reference);
    assert_eq!(ours.len(), 40);
}

#[test]
fn exports_list_names_what_is_exported() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/libwrap/exports.list");
    let list = std::fs::read_to_string(path).expect("the list");
    let entry = |line: &str| {
        let words: Vec<_> = line.split_whitespace().collect();
        let size = words.get(2).map(|size| size.parse().expect("a size"));
        let kind = match (words[0], words.get(3)) {
            ("function", None) => 'T',
            ("data", None) => 'D',
            ("data", Some(&"weak")) => 'V',
            _ => panic!("{line:?} is not understood"),
        };
        (kind, words[1].to_owned(), size)
    };
    let listed: BTreeSet<_> = list
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(entry)
        .collect();
    assert_eq!(listed, exported(Whose::Ours));
}

#[test]
fn it_has_the_name_programs_were_linked_with_and_needs_the_c_library_alone() {
    assert_eq!(dynamic(Whose::Ours, "SONAME"), ["libwrap.so.0"]);
    assert_eq!(dynamic(Whose::Reference, "SONAME"), ["libwrap.so.0"]);
    for library in dynamic(Whose::Ours, "NEEDED") {
        assert!(
            library.starts_with("libc.so.") || library == "libgcc_s.so.1" || library.starts_with("ld-linux"),
            "{library} is needed"
        );
    }
}

#[test]
fn symbols_have_no_versions() {
    let versions = said(
        Command::new("readelf")
            .args(["-V", "-W"])
            .arg(Whose::Ours.shared()),
    );
    assert!(!versions.contains(".gnu.version_d"), "{versions}");
}

#[test]
fn structures_and_constants_are_laid_out_as_in_the_header_of_the_reference() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let layout = |whose: Whose, flags: &[&str]| {
        let program = directory.path().join("layout");
        said(
            Command::new("cc")
                .args(flags)
                .arg("-I")
                .arg(whose.include())
                .arg("-o")
                .arg(&program)
                .arg(source("layout.c")),
        );
        said(&mut Command::new(&program))
    };
    for flags in [&[][..], &["-DINET6"]] {
        let ours = layout(Whose::Ours, flags);
        assert_eq!(ours, layout(Whose::Reference, flags));
        assert!(ours.lines().count() > 30, "{ours}");
    }
}

/// What `abidiff` has against the second in place of the first: nothing, or its report.
fn differences(first: &Path, second: &Path) -> Option<String> {
    let done = Command::new("abidiff")
        .args([first, second])
        .output()
        .expect("abidiff runs");
    let report = String::from_utf8_lossy(&done.stdout).into_owned();
    match done.status.code() {
        Some(0) => None,
        // Bit 2: something has changed. Bits 0 and 1: it could not be found out.
        Some(code) if code & 3 == 0 => Some(report),
        _ => panic!(
            "{}: {report}{}",
            done.status,
            String::from_utf8_lossy(&done.stderr)
        ),
    }
}

/// The libraries have no debugging information: of them, `abidiff` sees the symbols. It sees the types in a
/// library made of nothing but what a header declares.
#[test]
fn abidiff_finds_nothing_changed() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let declared = |whose: Whose, name: &str, flag: &str| {
        let library = directory.path().join(name);
        said(
            Command::new("cc")
                .args(["-g", "-shared", "-fPIC", "-D", flag, "-I"])
                .arg(whose.include())
                .arg("-o")
                .arg(&library)
                .arg(source("types.c")),
        );
        library
    };
    let [four, six] = ["IPV4", "INET6"].map(|flag| {
        let reference = declared(Whose::Reference, &format!("reference-{flag}.so"), flag);
        let ours = declared(Whose::Ours, &format!("ours-{flag}.so"), flag);
        assert_eq!(differences(&reference, &ours), None);
        ours
    });
    // Where there is a difference, it is seen.
    let report = differences(&four, &six).expect("a difference");
    assert!(report.contains("sockaddr_in* sin"), "{report}");
    assert_eq!(
        differences(&Whose::Reference.shared(), &Whose::Ours.shared()),
        None
    );
}

/// The macros that programs find in a header: those with parameters too, the header's own guard left out.
fn macros(whose: Whose) -> BTreeSet<String> {
    let command = "printf '#include <tcpd.h>\\n' | cc -I\"$1\" -dM -E -";
    let defined = said(
        Command::new("sh")
            .args(["-c", command, "sh"])
            .arg(whose.include()),
    );
    let name = |line: &str| {
        let rest = line.strip_prefix("#define ")?;
        rest.split(|c: char| c != '_' && !c.is_ascii_alphanumeric())
            .next()
            .map(str::to_owned)
    };
    let names = defined.lines().filter_map(name);
    names.filter(|name| !name.ends_with("_H")).collect()
}

#[test]
fn every_macro_of_the_references_header_is_in_ours() {
    let [ours, reference] = [Whose::Ours, Whose::Reference].map(macros);
    let missing: Vec<_> = reference.difference(&ours).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(ours.contains("STRING_UNKNOWN") && ours.contains("sock_methods"));
    // Names that programs have for themselves are not ours to take.
    let added: Vec<_> = ours.difference(&reference).collect();
    assert_eq!(added, ["TCPD_SOCKADDR"]);
}
