//! As much of TOML as `/etc/tcpwrap.toml` needs: sections, and keys with texts, whole numbers, or lists of texts.
//!
//! This is loaded into every daemon that asks the rules, and a complete reader is as large as all the rest of this crate.
//! What it does not know is a mistake, never passed over.

use std::ops::Range;

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Number(u64),
    /// Each with its place.
    List(Vec<(String, Range<usize>)>),
}

/// Something that the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item<'t> {
    /// `[name]`: what follows is in this section.
    Section(&'t str, Range<usize>),
    /// `key = value`
    Key(&'t str, Range<usize>, Value, Range<usize>),
}

/// What is wrong, and where.
pub(super) type Wrong = (Range<usize>, &'static str);

pub(super) struct Parser<'t> {
    text: &'t str,
    at: usize,
}

/// Reads a file, item by item.
pub(super) fn parse(text: &str) -> Parser<'_> {
    Parser { text, at: 0 }
}

impl<'t> Iterator for Parser<'t> {
    type Item = Result<Item<'t>, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_lines();
        (self.at < self.text.len()).then(|| {
            let item = self.item();
            if item.is_err() {
                // There is no telling where this ends.
                self.at = self.text.len();
            }
            item
        })
    }
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn here(&self) -> Range<usize> {
        self.at..self.at + 1
    }

    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Blanks, comments and ends of lines.
    fn skip_lines(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r' | b'\n') => self.at += 1,
                Some(b'#') => {
                    self.at += self.text[self.at..]
                        .find('\n')
                        .unwrap_or(self.text.len() - self.at)
                }
                _ => return,
            }
        }
    }

    fn word(&mut self) -> Result<(&'t str, Range<usize>), Wrong> {
        let start = self.at;
        while matches!(
            self.peek(),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-')
        ) {
            self.at += 1;
        }
        match start == self.at {
            true => Err((self.here(), "a name should stand here")),
            false => Ok((&self.text[start..self.at], start..self.at)),
        }
    }

    fn item(&mut self) -> Result<Item<'t>, Wrong> {
        let item = if self.take(b'[') {
            self.skip_blanks();
            let (name, place) = self.word()?;
            self.skip_blanks();
            if !self.take(b']') {
                return Err((self.here(), "the name of a section ends with ]"));
            }
            Item::Section(name, place)
        } else {
            let (key, place) = self.word()?;
            self.skip_blanks();
            if !self.take(b'=') {
                return Err((self.here(), "a key is followed by ="));
            }
            self.skip_blanks();
            let start = self.at;
            let value = self.value()?;
            Item::Key(key, place, value, start..self.at)
        };
        self.skip_blanks();
        match self.peek() {
            None | Some(b'\n' | b'\r' | b'#') => Ok(item),
            Some(_) => Err((self.here(), "the line should end here")),
        }
    }

    fn value(&mut self) -> Result<Value, Wrong> {
        match self.peek() {
            Some(b'"' | b'\'') => self.string().map(Value::Text),
            Some(b'[') => self.list(),
            Some(b'0'..=b'9') => self.number(),
            _ => Err((
                self.here(),
                "not a text in quotes, a whole number, or a list of texts",
            )),
        }
    }

    fn string(&mut self) -> Result<String, Wrong> {
        let start = self.at;
        let quote = if self.take(b'"') { '"' } else { '\'' };
        self.at = start + 1;
        let mut out = String::new();
        let mut characters = self.text[self.at..].char_indices();
        while let Some((offset, c)) = characters.next() {
            match c {
                '\n' => break,
                c if c == quote => {
                    self.at += offset + 1;
                    return Ok(out);
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, c @ ('"' | '\\'))) => out.push(c),
                    _ => {
                        let at = start + 1 + offset;
                        return Err((
                            at..at + 2,
                            "only \\\" and \\\\ are known; other texts go in '...'",
                        ));
                    }
                },
                c if c.is_control() && c != '\t' => {
                    let at = start + 1 + offset;
                    return Err((at..at + 1, "a control character"));
                }
                c => out.push(c),
            }
        }
        Err((start..start + 1, "the text does not end on its line"))
    }

    fn number(&mut self) -> Result<Value, Wrong> {
        let (word, place) = self.word()?;
        let digits = word.replace('_', "");
        let number = match digits.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => digits.parse(),
        };
        number
            .map(Value::Number)
            .map_err(|_| (place, "not a whole number"))
    }

    fn list(&mut self) -> Result<Value, Wrong> {
        let start = self.here();
        self.at += 1;
        let mut all = Vec::new();
        loop {
            self.skip_lines();
            match self.peek() {
                None => return Err((start, "the list does not end")),
                Some(b']') => break,
                Some(b'"' | b'\'') => {
                    let from = self.at;
                    let text = self.string()?;
                    all.push((text, from..self.at));
                }
                Some(_) => return Err((self.here(), "not a text in quotes")),
            }
            self.skip_lines();
            if !self.take(b',') && self.peek() != Some(b']') {
                return Err((self.here(), "a comma or ] should stand here"));
            }
        }
        self.at += 1;
        Ok(Value::List(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<Item<'_>> {
        parse(text)
            .map(|item| item.unwrap_or_else(|wrong| panic!("{text}: {wrong:?}")))
            .collect()
    }

    #[test]
    fn what_is_read() {
        let text = "# comment\r\n[ a ] # more\n\n x-1=\"a\\\"b\\\\\" # c\ny = '\\n#'\nz = [ 'p', # first\n \"q\",\n]\nn = 0x1_0\nm=7";
        let said: Vec<(&str, Value)> = items(text)
            .into_iter()
            .filter_map(|item| match item {
                Item::Key(key, _, value, _) => Some((key, value)),
                Item::Section(name, _) => {
                    assert_eq!(name, "a");
                    None
                }
            })
            .collect();
        let list = Value::List(vec![("p".into(), 75..78), ("q".into(), 89..92)]);
        assert_eq!(said[0], ("x-1", Value::Text("a\"b\\".into())));
        assert_eq!(said[1], ("y", Value::Text("\\n#".into())));
        let (Value::List(found), Value::List(expected)) = (&said[2].1, &list) else {
            panic!("{said:?}");
        };
        assert!(
            found
                .iter()
                .map(|(text, _)| text)
                .eq(expected.iter().map(|(text, _)| text))
        );
        assert_eq!(said[3], ("n", Value::Number(16)));
        assert_eq!(said[4], ("m", Value::Number(7)));
    }

    #[test]
    fn what_is_not_known_is_a_mistake() {
        for text in [
            "[a",
            "[a.b]",
            "[[a]]",
            "a",
            "a =",
            "a = b",
            "a = true",
            "a = -1",
            "a = 1.5",
            "a = 1 2",
            "a = 'b",
            "a = \"\\n\"",
            "a = '''b'''",
            "a = [1]",
            "a = ['b' 'c']",
            "a = ['b'",
            "a = {}",
            "a.b = 1",
            "\"a\" = 1",
            "a = 2026-01-01",
            "é = 1",
            "a = 99999999999999999999",
            "a = \u{1}",
            "a = '\u{1}'",
            "[a] b = 1",
            "= 1",
        ] {
            assert!(
                parse(text).any(|item| item.is_err()),
                "{text}: {:?}",
                parse(text).collect::<Vec<_>>()
            );
        }
        // Whatever is in it, it ends, and within the text.
        for text in ["é", "'é", "\"\\é\"", "a = \"\\é", "[é]", "a = [é", "a = ['é\n"] {
            for item in parse(text) {
                if let Err((place, _)) = item {
                    assert!(place.start <= text.len());
                }
            }
        }
    }
}
