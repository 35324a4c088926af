//! The lines in which two texts differ, in the unified form.

use std::path::Path;

use anstyle::{AnsiColor, Style};
use similar::TextDiff;

use crate::output::{escape, utf8};

/// The difference for the terminal, as `diff -u` writes it; empty where there is none.
pub fn shown(path: &Path, old: &[u8], new: &[u8]) -> String {
    let mut out = String::new();
    for line in escape(unified(path, old, new).as_bytes()).split_inclusive('\n') {
        let style = match line.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] => Style::new().bold(),
            [b'+', ..] => AnsiColor::Green.on_default(),
            [b'-', ..] => AnsiColor::Red.on_default(),
            [b'@', ..] => AnsiColor::Cyan.on_default(),
            _ => Style::new(),
        };
        let text = line.strip_suffix('\n').unwrap_or(line);
        out.push_str(&format!("{style}{text}{style:#}{}", &line[text.len()..]));
    }
    out
}

fn unified(path: &Path, old: &[u8], new: &[u8]) -> String {
    let (old, new) = (utf8(old), utf8(new));
    let name = path.display().to_string();
    TextDiff::from_lines(&old, &new)
        .unified_diff()
        .header(&format!("{name} (as it is)"), &format!("{name} (as it will be)"))
        .to_string()
}
