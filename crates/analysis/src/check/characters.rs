//! Characters that look like others, or like nothing: word processors and web pages put them where a blank, a
//! quote or a dash was typed.

use super::Context;
use super::code::{Code, Level, allow, codes};
use super::finding::Fix;

codes! {
    pub(super) ODD = "W009" "odd-character" Error {
        meaning: "A character that is not seen, or looks like a blank, a quote or a dash, and is part of the word to the \
            left or right of it. No daemon and no host has such a name, so the word matches nothing. Such characters \
            come along when a rule is copied from a web page or a word processor.",
        remedy: "Type the blank, quote or dash anew.",
        bad: allow("sshd\u{a0}: 10.0.0.1\n"),
        good: allow("sshd : 10.0.0.1\n"),
    }
}

/// What a character looks like, what was meant by it, and whether that is beyond doubt.
fn meant(character: char) -> Option<(&'static str, &'static str, bool)> {
    Some(match character {
        '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => {
            ("looks like a blank and is none", " ", true)
        }
        '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{feff}' => {
            ("is not seen and is part of the word", "", true)
        }
        '\u{2018}'..='\u{201f}' | '\u{ab}' | '\u{bb}' => ("is a quote, which no name holds", "", false),
        '\u{2010}'..='\u{2015}' | '\u{2212}' => ("looks like a `-` and is none", "-", false),
        '\u{ff0c}' | '\u{3001}' => ("looks like a comma and is none", ",", false),
        '\u{ff1a}' => ("looks like a `:` and is none", ":", false),
        _ => return None,
    })
}

/// Odd characters in a rule's lists.
pub(super) fn lint(cx: &mut Context<'_, '_>, lists_end: usize) {
    let lists = &cx.line[..lists_end.min(cx.line.len())];
    if lists.is_ascii() {
        return;
    }
    let mut odd = Vec::new();
    let mut at = 0;
    for chunk in lists.utf8_chunks() {
        for (offset, character) in chunk.valid().char_indices() {
            let start = at + offset;
            // A mark at the very beginning of the file has a code of its own.
            let is_mark = start == 0 && cx.entry.bytes.start == 0 && character == '\u{feff}';
            if let Some(meant) = meant(character).filter(|_| !is_mark) {
                odd.push((start..start + character.len_utf8(), character, meant));
            }
        }
        at += chunk.valid().len() + chunk.invalid().len();
    }
    let Some((first, character, (looks, _, _))) = odd.first() else {
        return;
    };
    let message = format!("the character U+{:04X} {looks}", u32::from(*character));
    let edits = odd
        .iter()
        .map(|(span, _, (_, text, _))| cx.edit(span, *text))
        .collect();
    let is_safe = odd.iter().all(|(_, _, (_, _, is_sure))| *is_sure);
    let fixed = if odd.len() == 1 {
        "replace it"
    } else {
        "replace all of them in this line"
    };
    let fix = Fix {
        is_safe,
        ..Fix::safe(fixed, edits)
    };
    cx.report(&ODD, first, message).fix(fix);
}
