//! `docs/diagnostics.md` is made from the list of codes. After changing a code, write it anew with
//! `UPDATE_DOCS=1 cargo test -p analysis --test diagnostics_doc`.

use std::fmt::Write as _;
use std::path::Path;

use analysis::check::{Code, Example, code};

const INTRODUCTION: &str = "\
<!-- Made from the list of codes in crates/analysis/src/check; see tests/diagnostics_doc.rs there. -->

# What `tcpwrap check` reports

Each code means one thing, for good: a number that has been used is never used for something else. `error`
stands for rules that cannot do what they say, `warning` for rules that very likely do not mean what they seem
to, `info` for what is worth knowing; `--level` says from where on findings are reported and count for the exit
status (default: warning). `tcpwrap check --explain W201` prints a section of this page.

`--fix` makes the edits whose intention is beyond doubt, and only those; the others are shown. An edit is made
in the file as a whole or not at all, owner, mode, label and comments are kept, and `--dry-run` shows it
beforehand. Such an edit makes a rule do what it says, so it may change who is let in: that is what it is for.

Lines and blocks that other programs write and search for (fail2ban, DenyHosts, sshguard, BlockHosts, OSSEC and
others) are recognised: what is wrong with them is reported, but not their style, and that one address is
banned twice is mentioned at level `info` alone.
";

#[test]
fn the_page_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/diagnostics.md");
    let page = page();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/diagnostics.md is out of date: run with UPDATE_DOCS=1"
    );
}

fn page() -> String {
    let mut page = INTRODUCTION.to_owned();
    page.push_str("\n| code | name | level |\n|---|---|---|\n");
    for code in codes() {
        let host = if code.needs_host { " (with `--host`)" } else { "" };
        let _ = writeln!(
            page,
            "| [{}](#{}-{}) | {} | {}{host} |",
            code.id,
            code.id.to_ascii_lowercase(),
            code.name,
            code.name,
            code.level
        );
    }
    for code in codes() {
        section(&mut page, code);
    }
    page
}

fn codes() -> impl Iterator<Item = &'static Code> {
    code::all().iter().copied()
}

fn section(page: &mut String, code: &Code) {
    let _ = writeln!(page, "\n## {} {}\n", code.id, code.name);
    let host = if code.needs_host {
        ", reported with `--host` only"
    } else {
        ""
    };
    let _ = writeln!(page, "Level: {}{host}\n", code.level);
    wrap(page, code.meaning);
    page.push_str("\nNot so:\n\n");
    example(page, code.bad);
    page.push_str("\nBut so:\n\n");
    example(page, code.good);
    page.push('\n');
    wrap(page, code.remedy);
}

fn example(page: &mut String, example: Example) {
    page.push_str("```\n");
    for (name, table) in [("hosts.allow", example.allow), ("hosts.deny", example.deny)] {
        for line in table.split_inclusive('\n') {
            let spell = |c: char| match c {
                '\0' => "␀".to_owned(),
                '\r' => "␍".to_owned(),
                c if c.is_ascii() => c.to_string(),
                c => c.escape_unicode().to_string(),
            };
            let mut shown: String = line.trim_end_matches('\n').chars().map(spell).collect();
            if shown.chars().count() > 90 {
                shown = shown.chars().take(89).collect::<String>() + "…";
            }
            let end = if line.ends_with('\n') { "" } else { " ␄" };
            let _ = writeln!(page, "{name:<12} {shown}{end}");
        }
    }
    page.push_str("```\n");
}

fn wrap(page: &mut String, text: &str) {
    const WIDTH: usize = 110;
    let mut width = 0;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            page.push('\n');
            width = 0;
        } else if width > 0 {
            page.push(' ');
            width += 1;
        }
        page.push_str(word);
        width += length;
    }
    page.push('\n');
}
