//! One style for tables, which changes the look of rules and nothing else.
//!
//! A rule is `daemons: clients : option : option`, words of a list separated by a comma and a blank,
//! wildcards and codes of countries in capitals, options and names of patterns in braces in small letters.
//! Rules longer than [`WIDTH`] go on in indented lines. Comments are kept. Lines that other programs look for
//! to the letter, lines that are no sound rules, and the last line where it lacks its newline, are left as they
//! are. [`same_rules`] proves of two texts that they hold the same rules in the same order.

use std::borrow::Cow;

use crate::check::foreign::{Blocks, is_looked_for};
use crate::document::{Content, Document, Entry, List, OptionField, Rule, Token, content};
use hosts_access::source::Ending;
use hosts_access::syntax::brace::Brace;
use hosts_access::syntax::option::{Keyword, keyword_and_value};

/// Rules longer than this go on in further lines.
pub const WIDTH: usize = 100;
/// The reference reads no longer lines.
const LONGEST: usize = 2047;
const INDENT: &[u8] = b"    ";

/// The table in the one style.
///
/// ```
/// use analysis::{document::Document, format::format};
/// let document = Document::new("hosts.allow", &b"sshd :10.,all except .bad.example  :Allow\n"[..]);
/// assert_eq!(format(&document), b"sshd: 10., ALL EXCEPT .bad.example : allow\n");
/// ```
pub fn format(document: &Document) -> Vec<u8> {
    let blocks = Blocks::of(document);
    let mut out = Vec::with_capacity(document.text.len() + 64);
    let mut blanks = 0;
    let mut is_left = false;
    for (number, entry) in document.entries.iter().enumerate() {
        let raw = &document.text[entry.bytes.clone()];
        // From a NUL byte on nothing is read, and nothing is known.
        is_left |= entry.ending == Ending::Nul;
        if is_left || entry.ending != Ending::Newline || blocks.contains(number) {
            push_blanks(&mut out, std::mem::take(&mut blanks));
            out.extend_from_slice(raw);
            continue;
        }
        let line = document.line(entry);
        match content(&line) {
            Content::Blank if entry.first_line == entry.last_line => blanks += 1,
            Content::Comment if entry.first_line == entry.last_line => {
                push_blanks(&mut out, std::mem::take(&mut blanks));
                let text = raw.trim_ascii_end();
                // With the blanks gone a backslash would swallow the next line.
                if text.ends_with(b"\\") {
                    out.extend_from_slice(raw);
                } else {
                    out.extend_from_slice(text);
                    out.push(b'\n');
                }
            }
            Content::Rule(rule) => {
                push_blanks(&mut out, std::mem::take(&mut blanks));
                match styled(&line, &rule) {
                    Some(text) => out.extend_from_slice(&text),
                    None => out.extend_from_slice(raw),
                }
            }
            Content::Comment | Content::Blank | Content::NoSeparator => {
                push_blanks(&mut out, std::mem::take(&mut blanks));
                out.extend_from_slice(raw);
            }
        }
    }
    out
}

/// Blank lines: one at most, and none at the start of the file.
fn push_blanks(out: &mut Vec<u8>, blanks: usize) {
    if blanks > 0 && !out.is_empty() {
        out.push(b'\n');
    }
}

/// A rule in the one style; nothing where it must stay as it is.
fn styled(line: &[u8], rule: &Rule<'_>) -> Option<Vec<u8>> {
    let is_remark = |text: &[u8]| text.contains(&b'#');
    if is_looked_for(line)
        || line.trim_ascii_start().starts_with(b"#")
        || rule.daemons.tokens().any(|t| is_remark(t.text))
        || rule.clients.tokens().any(|t| is_remark(t.text))
        || rule.options.iter().any(|o| o.problem.is_some())
        || rule.daemons.tokens().next().is_none()
        || rule.clients.tokens().next().is_none()
    {
        return None;
    }
    let daemons = words(&rule.daemons);
    let clients = words(&rule.clients);
    let options: Vec<Vec<u8>> = rule.options.iter().map(|o| option(line, o)).collect();
    let text = laid_out(&daemons, &clients, &options);
    // A backslash that comes to stand at a line's end would join lines.
    let new = Document::new("", text);
    let [entry] = new.entries.as_slice() else {
        return None;
    };
    let logical = new.line(entry);
    let fits = logical.len() <= LONGEST || line.len() > LONGEST;
    (fits && same_line(line, &logical)).then(|| new.text.clone())
}

/// The words of a list, each with the separator behind it.
fn words<P>(list: &List<'_, P>) -> Vec<Vec<u8>> {
    let mut words: Vec<Vec<u8>> = Vec::new();
    for (number, part) in list.parts.iter().enumerate() {
        if number > 0 {
            words.push(b"EXCEPT".to_vec());
        }
        for (at, token) in part.iter().enumerate() {
            let mut word = wildcard(token).into_owned();
            if at + 1 < part.len() {
                word.push(b',');
            }
            words.push(word);
        }
    }
    words
}

/// The wildcards in capitals, names of patterns in braces in small letters with codes in capitals, everything else as
/// it is.
fn wildcard<'t, P>(token: &Token<'t, P>) -> Cow<'t, [u8]> {
    if let Some(brace) = Brace::parse(token.text) {
        return in_braces(token.text, brace);
    }
    const WILDCARDS: [&[u8]; 5] = [b"ALL", b"LOCAL", b"KNOWN", b"UNKNOWN", b"PARANOID"];
    WILDCARDS
        .iter()
        .find(|word| word.eq_ignore_ascii_case(token.text))
        .map_or(Cow::Borrowed(token.text), |word| Cow::Borrowed(*word))
}

fn in_braces<'t>(text: &'t [u8], brace: Brace<'_>) -> Cow<'t, [u8]> {
    let name = memchr::memchr(b'=', text).unwrap_or(text.len());
    let mut text = text.to_vec();
    text[..name].make_ascii_lowercase();
    match brace {
        Brace::Country(_) | Brace::Continent(_) | Brace::System(_) => text[name..].make_ascii_uppercase(),
        Brace::Wrong(_)
        | Brace::Name(_)
        | Brace::Listed { .. }
        | Brace::SameHost
        | Brace::SameNet
        | Brace::Time(_)
        | Brace::Banned => {}
    }
    Cow::Owned(text)
}

/// An option: keyword in small letters, one blank, the value to the letter, `\:` and all.
fn option(line: &[u8], option: &OptionField<'_>) -> Vec<u8> {
    let raw = &line[option.span.clone()];
    // A list is written as one, but where it has backslashes in it.
    if let (Some(list), Cow::Borrowed(_)) = (option.condition(), &option.text) {
        return [&b"if "[..], &words(&list).join(&b' ')].concat();
    }
    let (word, _) = keyword_and_value(raw);
    let mut text = word.to_ascii_lowercase();
    let rest = raw[word.len()..].trim_ascii_start();
    let value = rest.strip_prefix(b"=").unwrap_or(rest).trim_ascii();
    if value.is_empty() {
        return text;
    }
    // A value that begins with `=` needs the one before it.
    text.extend_from_slice(if value.starts_with(b"=") { b" = " } else { b" " });
    text.extend_from_slice(value);
    text
}

fn laid_out(daemons: &[Vec<u8>], clients: &[Vec<u8>], options: &[Vec<u8>]) -> Vec<u8> {
    let mut one = daemons.join(&b' ');
    one.extend_from_slice(b": ");
    one.extend_from_slice(&clients.join(&b' '));
    for option in options {
        one.extend_from_slice(b" : ");
        one.extend_from_slice(option);
    }
    one.push(b'\n');
    if one.len() <= WIDTH + 1 {
        return one;
    }
    let mut lines = Lines::default();
    for (at, word) in daemons.iter().enumerate() {
        let mut word = word.clone();
        if at + 1 == daemons.len() {
            word.push(b':');
        }
        lines.word(&word);
    }
    for word in clients {
        lines.word(word);
    }
    for option in options {
        lines.option(option);
    }
    lines.end()
}

/// Lines being filled.
#[derive(Default)]
struct Lines {
    text: Vec<u8>,
    width: usize,
}

impl Lines {
    /// A word of a list, on this line where it has room.
    fn word(&mut self, word: &[u8]) {
        // Room for the backslash too.
        if self.width > 0 && self.width + 1 + word.len() + 2 > WIDTH {
            self.next();
        } else if self.width > 0 {
            self.text.push(b' ');
            self.width += 1;
        }
        self.text.extend_from_slice(word);
        self.width += word.len();
    }

    /// An option begins a line of its own.
    fn option(&mut self, option: &[u8]) {
        self.next();
        self.text.extend_from_slice(b": ");
        self.text.extend_from_slice(option);
        self.width += 2 + option.len();
    }

    fn next(&mut self) {
        self.text.extend_from_slice(b" \\\n");
        self.text.extend_from_slice(INDENT);
        self.width = INDENT.len();
    }

    fn end(mut self) -> Vec<u8> {
        self.text.push(b'\n');
        self.text
    }
}

/// Do two tables hold the same rules, in the same order, and the same comments? Where they do, every
/// decision is the same, but for the numbers of lines.
pub fn same_rules(a: &Document, b: &Document) -> bool {
    let mut old = a.entries.iter().filter(|e| is_read(a, e));
    let mut new = b.entries.iter().filter(|e| is_read(b, e));
    loop {
        match (old.next(), new.next()) {
            (None, None) => return true,
            (Some(x), Some(y)) => {
                if x.ending != y.ending || !same_line(&a.line(x), &b.line(y)) {
                    return false;
                }
            }
            _ => return false,
        }
    }
}

fn is_read(document: &Document, entry: &Entry) -> bool {
    entry.ending != Ending::Newline || !matches!(content(&document.line(entry)), Content::Blank)
}

fn same_line(a: &[u8], b: &[u8]) -> bool {
    match (content(a), content(b)) {
        (Content::Rule(a), Content::Rule(b)) => {
            same_list(&a.daemons, &b.daemons)
                && same_list(&a.clients, &b.clients)
                && a.options.len() == b.options.len()
                && a.options.iter().zip(&b.options).all(|(a, b)| same_option(a, b))
        }
        (Content::Comment, Content::Comment) | (Content::NoSeparator, Content::NoSeparator) => {
            a.trim_ascii_end() == b.trim_ascii_end()
        }
        _ => a == b,
    }
}

/// The same words, but for the case of wildcards.
fn same_list<P>(a: &List<'_, P>, b: &List<'_, P>) -> bool {
    a.parts.len() == b.parts.len()
        && a.parts
            .iter()
            .zip(&b.parts)
            .all(|(a, b)| a.len() == b.len() && a.iter().zip(b).all(|(a, b)| wildcard(a) == wildcard(b)))
}

fn same_option(a: &OptionField<'_>, b: &OptionField<'_>) -> bool {
    let known = |o: &OptionField<'_>| -> Option<Keyword> { o.keyword.filter(|_| o.problem.is_none()) };
    match (known(a), known(b)) {
        (Some(Keyword::If), Some(Keyword::If)) => match (a.condition(), b.condition()) {
            (Some(a), Some(b)) => same_list(&a, &b),
            _ => false,
        },
        (Some(x), Some(y)) => x == y && a.value() == b.value(),
        (None, None) => a.text.trim_ascii() == b.text.trim_ascii(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn formatted(text: &str) -> String {
        let old = Document::new("t", text);
        let new = Document::new("t", format(&old));
        assert!(same_rules(&old, &new), "{text:?}");
        // The style is its own.
        assert_eq!(format(&new), new.text, "{text:?}");
        String::from_utf8(new.text).unwrap()
    }

    #[test]
    fn rules_get_one_style() {
        assert_eq!(formatted("sshd,vsftpd:10. ,all\n"), "sshd, vsftpd: 10., ALL\n");
        assert_eq!(formatted("a b : c except d :DENY\n"), "a, b: c EXCEPT d : deny\n");
        assert_eq!(
            formatted("a: b c: Spawn=x \\: y :SEVERITY  auth.info\n"),
            "a: b, c : spawn x \\: y : severity auth.info\n"
        );
        assert_eq!(formatted("a: b c: twist ==x\n"), "a: b, c : twist = =x\n");
        assert_eq!(formatted("\n\n# x  \n\n\n\na:b,c\r\n\n"), "# x\n\na: b, c\n");
        assert_eq!(
            formatted("a: b c: setenv A\n"),
            "a: b, c : setenv a\n".replace(" a\n", " A\n")
        );
    }

    #[test]
    fn additions_have_it_too() {
        assert_eq!(
            formatted(
                "sshd:{Country=de|At} {BANNED} u@{samenet}:IF=[::1],all except {time=Mon}:Limit  5/minute :Trial\n"
            ),
            "sshd:{Country=de|At} {BANNED} u@{samenet}:IF=[::1],all except {time=Mon}:Limit  5/minute :Trial\n",
            "out of order, it is no sound rule"
        );
        assert_eq!(
            formatted(
                "sshd:{Country=de|At} {BANNED},u@{samenet}:IF=[::1],all  except {Time=Mon}:MAX=3:Ban 1h\n"
            ),
            "sshd: {country=DE|AT}, {banned}, u@{samenet} : if [::1], ALL EXCEPT {time=Mon} : max 3 : ban 1h\n"
        );
        assert_eq!(
            formatted("a: {asn=as680},{dns=A.example.net}\n"),
            "a: {asn=AS680}, {dns=A.example.net}\n"
        );
        // Another list is another rule.
        let same = |a: &str, b: &str| same_rules(&Document::new("a", a), &Document::new("b", b));
        assert!(same("a: b : if c d\n", "a: b : if c,d\n"));
        assert!(!same("a: b : if c d\n", "a: b : if d c\n"));
        assert!(!same("a: {country=DE}\n", "a: {country=AT}\n"));
        assert!(!same("a: {dns=A.example}\n", "a: {dns=a.example}\n"));
    }

    #[test]
    fn what_others_look_for_stays() {
        for text in [
            "ALL:ALL\n",
            "all :ALL\n",
            "ALL: ALL:DENY\n",
            "ALL:192.0.2.1\n",
            "sshd:[2001:db8::1]\n",
            "###sshguard###\nALL :  192.0.2.1 192.0.2.2 : DENY\n###sshguard###\n",
            "# DenyHosts: Mon Nov 23 | a:b,c\na:b,c\n",
            "# do not remove past this line\na:b,c\n\n\n\nx:y,z\n",
        ] {
            assert_eq!(formatted(text), text);
        }
    }

    #[test]
    fn what_is_not_sound_stays() {
        for text in [
            "no separator here\n",
            "a:b,c # remark\n",
            "  # remark: a,b\n",
            "a:2001:db8::1\n",
            "a:,,\n",
            "a:b,c:alow\n",
            "# x \\ \n",
            "a:b,c:spawn x \\ \n",
            "a:b,c\\ \n",
            "# x \\\ny:a,b\n",
            "a:b,c",
            "a:b,c\0\nd:e,f\n",
        ] {
            assert_eq!(formatted(text), text);
        }
    }

    #[test]
    fn long_rules_go_on() {
        let clients: Vec<String> = (0..30).map(|n| format!("10.0.{n}.")).collect();
        let text = format!("sshd: {}: spawn {} : allow\n", clients.join(" "), "x".repeat(120));
        let text = formatted(&text);
        let lines: Vec<_> = text.lines().collect();
        assert!(lines.len() > 3 && lines[1].starts_with("    10.0."), "{text}");
        assert!(
            lines[..2].iter().all(|l| l.len() <= WIDTH && l.ends_with(" \\")),
            "{text}"
        );
        assert_eq!(lines.last(), Some(&"    : allow"));
    }

    #[test]
    fn other_rules_are_not_the_same() {
        let same = |a: &str, b: &str| same_rules(&Document::new("a", a), &Document::new("b", b));
        assert!(same("a: b, c\n", "a : b c\n\n"));
        assert!(!same("a: b, c\n", "a: c, b\n"));
        assert!(!same("a: b\n", "a: b"));
        assert!(!same("a: b : nice 1\n", "a: b : nice 2\n"));
        assert!(!same("a: b : alow\n", "a: b : bogus\n"));
        assert!(!same("a: b EXCEPT c\n", "a: b, c\n"));
        assert!(!same("a: b\n", "a: b\na: c\n"));
        assert!(!same("# x\n", "# y\n"));
    }
}
