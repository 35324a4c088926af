//! Command lines of units, in the syntax of systemd.service(5): taking them apart without changing a letter of
//! them, and writing words into them.

use std::ops::Range;

/// The commands of one `ExecStart=`: a semicolon that stands alone separates them.
pub fn commands(line: &str) -> Vec<&str> {
    let mut commands = Vec::new();
    let (mut start, mut at) = (0, 0);
    while let Some(word) = word(line, at) {
        if &line[word.clone()] == ";" {
            commands.push(line[start..word.start].trim());
            start = word.end;
        }
        at = word.end;
    }
    commands.push(line[start..].trim());
    commands.retain(|command| !command.is_empty());
    commands
}

/// The first word as it is written, and what follows it.
pub fn split_word(text: &str) -> (&str, &str) {
    let word = word(text, 0).unwrap_or(text.len()..text.len());
    (&text[word.clone()], text[word.end..].trim_start())
}

/// Where the next word is, quotes and backslashes included.
fn word(line: &str, from: usize) -> Option<Range<usize>> {
    let start = from + line[from..].find(|c: char| !c.is_ascii_whitespace())?;
    let mut quote = None;
    let mut escaped = false;
    for (at, c) in line[start..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if quote == Some(c) => quote = None,
            _ if quote.is_some() => {}
            '"' | '\'' => quote = Some(c),
            _ if c.is_ascii_whitespace() => return Some(start..start + at),
            _ => {}
        }
    }
    Some(start..line.len())
}

/// A word as systemd has to find it to read back `word`. A dollar sign stands for itself only twice where
/// variables are `expanded`.
pub fn quoted(word: &str, expanded: bool) -> String {
    let plain = |c: char| c.is_alphanumeric() || "/_.,:=+@%$~-".contains(c);
    let mut text = String::new();
    for c in word.chars() {
        match c {
            '%' => text.push_str("%%"),
            '$' if expanded => text.push_str("$$"),
            '"' | '\\' => text.extend(['\\', c]),
            c if c.is_ascii_control() => text.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => text.push(c),
        }
    }
    if word.is_empty() || !word.chars().all(plain) {
        text = format!("\"{text}\"");
    }
    text
}

/// What systemd reads in a word that [`quoted`] wrote where variables are expanded.
pub fn unquoted(word: &str) -> String {
    let inner = word
        .strip_prefix('"')
        .and_then(|word| word.strip_suffix('"'))
        .unwrap_or(word);
    let mut text = String::new();
    let mut rest = inner.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => match rest.next() {
                Some('x') => {
                    let digits: String = rest.by_ref().take(2).collect();
                    text.extend(u8::from_str_radix(&digits, 16).ok().map(char::from));
                }
                other => text.extend(other),
            },
            '%' | '$' => {
                // Each stands twice for itself.
                let mut ahead = rest.clone();
                if ahead.next() == Some(c) {
                    rest = ahead;
                }
                text.push(c);
            }
            c => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_quoted_is_read_back() {
        for word in ["", "/etc/a-b", "a b", "100%$", "\n\"\\x41", "ä ;"] {
            assert_eq!(unquoted(&quoted(word, true)), word);
        }
    }

    #[test]
    fn only_a_semicolon_that_stands_alone_separates() {
        assert_eq!(commands("/bin/a ; -/bin/b x;y ;"), ["/bin/a", "-/bin/b x;y"]);
        assert_eq!(commands(r#"/bin/a \; ";" 'b ; c' "d \" ; e""#).len(), 1);
        assert!(commands(" ; ").is_empty());
    }

    #[test]
    fn words_stay_as_they_are_written() {
        assert_eq!(
            split_word(r#""/bin/a b"'c d' -x  y"#),
            (r#""/bin/a b"'c d'"#, "-x  y")
        );
        assert_eq!(split_word("a"), ("a", ""));
        assert_eq!(split_word(" "), ("", ""));
    }

    #[test]
    fn words_that_systemd_would_read_otherwise_are_quoted() {
        assert_eq!(quoted("/etc/a-b", true), "/etc/a-b");
        assert_eq!(quoted("", true), "\"\"");
        assert_eq!(quoted(";", true), "\";\"");
        assert_eq!(quoted("a b\n\"\\", true), r#""a b\x0a\"\\""#);
        assert_eq!(quoted("100%$", true), "100%%$$");
        assert_eq!(quoted("100%$", false), "100%%$");
    }
}
