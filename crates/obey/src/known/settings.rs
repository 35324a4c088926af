//! Reading settings out of the configuration files of daemons: enough of each format to know what a few settings
//! are, and no more.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Files larger than this are no configuration.
const LARGEST: u64 = 4 << 20;

/// A configuration's text, unless it was changed after `since`; the error is a reason for people.
pub(super) fn read(path: &Path, since: Option<SystemTime>) -> Result<String, String> {
    let cannot = |error: std::io::Error| {
        let reason = hosts_access::decide::reason(&error);
        format!("{} cannot be read: {reason}", path.display())
    };
    let facts = std::fs::metadata(path).map_err(cannot)?;
    if !facts.is_file() || facts.len() > LARGEST {
        return Err(format!("{} is no configuration file", path.display()));
    }
    if let (Some(since), Ok(changed)) = (since, facts.modified())
        && changed > since
    {
        return Err(format!("{} was changed after it was started", path.display()));
    }
    let text = hosts_access::source::bytes(path).map_err(cannot)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The first of these that is there, else the first.
pub(super) fn first_there(paths: &[&str]) -> PathBuf {
    let there = paths.iter().map(Path::new).find(|path| path.exists());
    there
        .or(paths.first().map(Path::new))
        .unwrap_or(Path::new(""))
        .to_path_buf()
}

/// `name = value` or `name value`, one a line, with comments behind `#` or `;` at the start of one.
pub(super) fn pairs(text: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(['#', ';']))
        .map(|line| {
            let end = line
                .find(|c: char| c == '=' || c.is_whitespace())
                .unwrap_or(line.len());
            let (name, rest) = line.split_at(end);
            let rest = rest.trim_start();
            (name, rest.strip_prefix('=').unwrap_or(rest).trim())
        })
}

/// The value that is set last.
pub(super) fn last<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    pairs(text)
        .rev()
        .find(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// How a format writes blocks, whose settings are for some clients or addresses only.
#[derive(Debug, Clone, Copy)]
pub(super) enum Blocks {
    /// `name … {`, and a line with `}` alone; a comment may follow.
    Braces,
    /// `<Name …>` and `</Name>`; those of which the settings are for all, or as if they stood outside, are no blocks.
    Tags(&'static [&'static str]),
}

/// What a setting is outside of all blocks, the last time, and in blocks.
pub(super) fn in_blocks<'t>(text: &'t str, name: &str, blocks: Blocks) -> (Option<&'t str>, Vec<&'t str>) {
    let (mut outside, mut inside) = (None, Vec::new());
    let mut depth = 0_usize;
    for (word, value) in pairs(text) {
        let value = match blocks {
            Blocks::Braces => without_comment(value),
            Blocks::Tags(_) => value,
        };
        let (begins, ends) = match blocks {
            Blocks::Braces => (value.ends_with('{') || word.ends_with('{'), word == "}"),
            Blocks::Tags(none) => {
                let tag = word.trim_start_matches(['<', '/']).trim_end_matches('>');
                let is_block = word.starts_with('<') && !none.iter().any(|one| one.eq_ignore_ascii_case(tag));
                let ends = word.starts_with("</");
                (is_block && !ends, is_block && ends)
            }
        };
        depth = (depth + usize::from(begins)).saturating_sub(usize::from(ends));
        if word.eq_ignore_ascii_case(name) {
            match depth {
                0 => outside = Some(value),
                _ => inside.push(value),
            }
        }
    }
    (outside, inside)
}

/// A value without the comment that may follow it in formats with braces.
fn without_comment(value: &str) -> &str {
    let is_comment = |(at, _): &(usize, &str)| *at == 0 || value[..*at].ends_with([' ', '\t']);
    let comment = value.match_indices('#').find(is_comment);
    value[..comment.map_or(value.len(), |(at, _)| at)].trim_end()
}

/// A configuration and all it includes: `includes` gives the patterns of the files that a line includes. Files are
/// put where they are included; what cannot be read is left out.
pub(super) fn with_includes(
    path: &Path,
    since: Option<SystemTime>,
    includes: fn(&str) -> Option<String>,
) -> Result<String, String> {
    let mut whole = String::new();
    let mut left = MOST_FILES;
    include(path, since, includes, &mut left, &mut whole)?;
    Ok(whole)
}

/// So many files are read, however they include each other.
const MOST_FILES: usize = 200;

fn include(
    path: &Path,
    since: Option<SystemTime>,
    includes: fn(&str) -> Option<String>,
    left: &mut usize,
    whole: &mut String,
) -> Result<(), String> {
    *left = left.saturating_sub(1);
    let text = read(path, since)?;
    for line in text.lines() {
        let Some(pattern) = includes(line.trim()) else {
            whole.push_str(line);
            whole.push('\n');
            continue;
        };
        let pattern = path.parent().unwrap_or(Path::new("/")).join(pattern);
        for file in matching(&pattern) {
            if *left > 0 {
                let _ = include(&file, since, includes, left, whole);
            }
        }
    }
    Ok(())
}

/// The files that a pattern with `*` in its last component stands for, by name; a directory stands for all in it.
pub(super) fn matching(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    let (directory, head, tail) = if pattern.is_dir() {
        (pattern, "", "")
    } else if let Some((head, tail)) = name.split_once('*') {
        (pattern.parent().unwrap_or(Path::new("/")), head, tail)
    } else {
        return vec![pattern.to_path_buf()];
    };
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            name.len() >= head.len() + tail.len() && name.starts_with(head) && name.ends_with(tail)
        })
        .map(|entry| entry.path())
        .collect();
    files.sort();
    files
}

/// Yes, as most daemons write it.
pub(super) fn is_yes(value: &str) -> bool {
    ["yes", "on", "true", "1"]
        .iter()
        .any(|yes| yes.eq_ignore_ascii_case(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_in_their_many_spellings() {
        let text = "# a = 0\n a = 1\na=2\n; a = 3\nb yes\nc\n\nd =\n";
        assert_eq!(last(text, "a"), Some("2"));
        assert_eq!(last(text, "B"), Some("yes"));
        assert_eq!(last(text, "c"), Some(""));
        assert_eq!(last(text, "d"), Some(""));
        assert_eq!(last(text, "e"), None);
    }

    #[test]
    fn files_that_include_each_other_end() {
        let directory = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
        put("a", "first\ninclude *.conf\ninclude a\nlast\n");
        put("b.conf", "b\n");
        put("c.conf", "include a\nc\n");
        put("d.other", "d\n");
        let includes = |line: &str| line.strip_prefix("include ").map(str::to_owned);
        let whole = with_includes(&directory.path().join("a"), None, includes).unwrap();
        assert!(whole.starts_with("first\nb\n"), "{whole}");
        assert!(!whole.contains('d'));
    }
}
