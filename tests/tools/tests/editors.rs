//! The files by which vim and nano know the language, against the real editors.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TABLE: &str = "\
# a remark: ALL \\
  that goes on
sshd, in.*: ALL EXCEPT 10.1.2.3, [2001:db8::]/32, {country=DE|AT} \\
    {land=DE} : if [::1] {banned} : limit 5/minute burst 2 : spawn echo a\\: deny %a : deny
ALL: {samenet}
";

fn installed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../dist/root/usr/share")
        .join(name)
}

#[test]
fn vim_tells_the_parts_of_a_rule_apart() {
    let directory = tempfile::tempdir().unwrap();
    let (table, out) = (directory.path().join("hosts.allow"), directory.path().join("out"));
    fs::write(&table, TABLE).unwrap();
    // Where something stands, what it is, and what vim says it is.
    let places = [
        (1, "remark", "hostsAccessComment"),
        (2, "goes", "hostsAccessComment"),
        (3, "sshd", "hostsAccessDaemons"),
        (3, "ALL", "hostsAccessWildcard"),
        (3, "EXCEPT", "hostsAccessExcept"),
        (3, "10.1", "hostsAccessAddress"),
        (3, "2001", "hostsAccessAddress"),
        (3, "{country", "hostsAccessBraces"),
        (4, "{land", "hostsAccessBadBraces"),
        (4, "if", "hostsAccessIf"),
        (4, "::1", "hostsAccessAddress"),
        (4, "{banned", "hostsAccessBraces"),
        (4, "limit", "hostsAccessBoundWord"),
        (4, "5/", "hostsAccessNumber"),
        (4, "spawn", "hostsAccessOption"),
        (4, "\\:", "hostsAccessEscape"),
        // Behind an escaped colon it is no option.
        (4, "deny %", "hostsAccessOptions"),
        (4, "%a", "hostsAccessExpansion"),
        (4, "deny\n", "hostsAccessVerdict"),
        (5, "ALL", "hostsAccessWildcard"),
        (5, "{samenet", "hostsAccessBraces"),
    ];
    let lines: Vec<&str> = TABLE.split_inclusive('\n').collect();
    let asked: String = places
        .iter()
        .map(|(line, what, _)| {
            let column = lines[line - 1].find(what).unwrap_or_else(|| panic!("{what}")) + 1;
            format!("call add(found, synIDattr(synID({line}, {column}, 1), 'name'))\n")
        })
        .collect();
    let script = format!(
        "set nocompatible\nset runtimepath^={}\nfiletype on\nsyntax on\nedit {}\nlet found = [&filetype]\n{asked}\
         call writefile(found, '{}')\nqall!\n",
        installed("vim/vimfiles").display(),
        table.display(),
        out.display()
    );
    let commands = directory.path().join("ask.vim");
    fs::write(&commands, script).unwrap();
    let status = Command::new("vim")
        .args(["-es", "-N", "-u", "NONE", "-i", "NONE", "-S"])
        .arg(&commands)
        .env("HOME", directory.path())
        .env("TERM", "dumb")
        .status()
        .unwrap();
    let said = fs::read_to_string(&out).unwrap_or_else(|error| panic!("{status}: {error}"));
    let mut said = said.lines();
    assert_eq!(said.next(), Some("hosts_access"));
    for ((line, what, group), said) in places.iter().zip(said) {
        assert_eq!(said, *group, "line {line}: {what}");
    }
}

/// nano says on its standard error what it cannot read in such a file, and which regular expressions are none.
#[test]
fn nano_reads_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let table = directory.path().join("hosts.allow");
    fs::write(&table, TABLE).unwrap();
    let shown = |rc: &str| {
        let file = directory.path().join("nanorc");
        fs::write(&file, rc).unwrap();
        // A terminal, on which it is left as soon as it listens.
        let command = format!(
            "nano --rcfile={} --syntax=hosts_access {}",
            file.display(),
            table.display()
        );
        let output = Command::new("sh")
            .args([
                "-c",
                "while sleep 0.5; do printf '\\030' || exit; done | script -qec \"$1\" /dev/null",
                "sh",
                &command,
            ])
            .env("TERM", "xterm-256color")
            .env("HOME", directory.path())
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let rc = fs::read_to_string(installed("nano/hosts_access.nanorc")).unwrap();
    let good = shown(&rc);
    assert!(good.contains("country=DE"), "{good}");
    assert!(
        !good.contains("Mistakes in") && !good.contains("Error in"),
        "{good}"
    );
    let bad = shown(&rc.replacen("color magenta", "colour magenta", 1));
    assert!(bad.contains("Mistakes in") || bad.contains("Error in"), "{bad}");
}
