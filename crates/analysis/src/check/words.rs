//! Files that `/file` patterns name: lists of host patterns with white space between, nothing else
//! (hosts_access(5), PATTERNS). Which files there are depends on the machine; what they hold is judged
//! here.

use super::finding::Span;
use super::reach::{never, v6};
use super::{Finding, Level, host, quoted};
use hosts_access::TableKind;
use hosts_access::files;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::pattern::HostPattern;

/// Words of such a file that are not what they seem. `table` is the one whose rule names the file.
///
/// ```
/// use analysis::check::words;
/// use hosts_access::TableKind;
/// let found = words(TableKind::Deny, "/etc/hosts.bad".as_ref(), b"10.0.0.1\n2001:db8::1\n");
/// assert_eq!((found[0].code.id, found[0].span.line), ("W508", 2));
/// ```
pub fn words(table: TableKind, path: &std::path::Path, text: &[u8]) -> Vec<Finding> {
    // Lists of this kind may be as long as tables; a hundred mistakes of one kind are enough to see.
    const MOST: usize = 100;
    let mut found = Vec::new();
    let (mut line, mut line_start, mut counted) = (1u32, 0, 0);
    let mut remark_on = 0;
    for (at, word) in files::words(text) {
        for newline in memchr::memchr_iter(b'\n', &text[counted..at]) {
            line += 1;
            line_start = counted + newline + 1;
        }
        counted = at;
        // One finding for a whole remark.
        if remark_on == line {
            continue;
        }
        let Some(message) = judge(word) else { continue };
        if word.starts_with(b"#") {
            remark_on = line;
        }
        if found.len() == MOST {
            break;
        }
        found.push(Finding {
            code: &host::IN_FILE,
            level: Level::Warning,
            table,
            span: Span {
                line,
                column: u32::try_from(at - line_start).unwrap_or(u32::MAX - 1) + 1,
                bytes: at..at + word.len(),
            },
            message,
            related: Vec::new(),
            fix: None,
            help: Some(host::IN_FILE.remedy.to_owned()),
            other_file: Some(path.into()),
        });
    }
    found
}

fn judge(word: &[u8]) -> Option<String> {
    let shown = quoted(word);
    if word.starts_with(b"#") {
        return Some("there are no comments in such a file: these words are patterns".to_owned());
    }
    if word.contains(&b',') {
        return Some(format!(
            "{shown} is one pattern: only white space separates them here"
        ));
    }
    if word.eq_ignore_ascii_case(b"EXCEPT") {
        return Some("`EXCEPT` is a host's name here: such a file has no operators".to_owned());
    }
    let address = &word[..memchr::memchr(b'/', word).unwrap_or(word.len())];
    if word[0] != b'/' && address.contains(&b':') && v6(address).is_some() {
        return match word.len() - address.len() {
            // The address as text is compared letter by letter, which may just work.
            0 => Some(format!(
                "{shown} matches only if the address is written just so; brackets are needed"
            )),
            _ => Some(format!("{shown} never matches: the address needs brackets")),
        };
    }
    if memchr::memchr(b'@', word).is_some_and(|at| at > 0) {
        return Some(format!(
            "{shown} names a user, which such a file cannot: it is a host's name here"
        ));
    }
    if let HostPattern::Brace(Brace::Wrong(mistake)) = HostPattern::parse(word) {
        return Some(format!("{mistake}; whom it matches is never known"));
    }
    never(&HostPattern::parse(word)).map(|_| format!("{shown} never matches"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_once() {
        let text = b"10.0.0.1 .example.com\n# a remark, long\n10.0.0.2,10.0.0.3\n[::1] @group /etc/more\n300.1.1.1\n";
        let found = words(TableKind::Allow, "f".as_ref(), text);
        let at: Vec<_> = found.iter().map(|f| (f.span.line, f.span.column)).collect();
        assert_eq!(at, [(2, 1), (3, 1), (5, 1)]);
    }
}
