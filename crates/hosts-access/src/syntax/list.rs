//! Daemon and client lists: tokens, and `EXCEPT` (hosts_access(5), OPERATORS).

use crate::matching::Match;
use crate::text::is_separator;

/// The tokens of a list in order, `EXCEPT` among them.
#[derive(Debug, Clone)]
pub struct Tokens<'t> {
    rest: &'t [u8],
}

/// The tokens of `list`, which are separated by runs of commas, blanks and line ends.
pub fn tokens(list: &[u8]) -> Tokens<'_> {
    Tokens { rest: list }
}

impl<'t> Iterator for Tokens<'t> {
    type Item = &'t [u8];

    #[inline]
    fn next(&mut self) -> Option<&'t [u8]> {
        let start = self.rest.iter().position(|b| !is_separator(*b))?;
        let rest = &self.rest[start..];
        let end = rest.iter().position(|b| is_separator(*b)).unwrap_or(rest.len());
        self.rest = &rest[end..];
        Some(&rest[..end])
    }
}

/// The operator.
pub(crate) const EXCEPT: &[u8] = b"EXCEPT";

/// Is this token the `EXCEPT` operator?
#[inline]
pub fn is_except(token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(EXCEPT)
}

/// Does a list match, given what each of its tokens does?
///
/// `a b EXCEPT c EXCEPT d` is `(a b) EXCEPT (c EXCEPT d)`. Tokens are tried left to right; the first
/// one that matches ends its part of the list, and only then are the exceptions tried. An empty part
/// matches nothing. What is not known is combined as in Kleene's logic.
///
/// # Errors
/// The first error of a token.
///
/// ```
/// use hosts_access::syntax::list::list_matches;
/// use hosts_access::Match;
/// let is = |wanted: &'static [u8]| move |t: &[u8]| Ok::<_, ()>(Match::from(t == b"ALL" || t == wanted));
/// assert_eq!(list_matches(b"ALL EXCEPT x y EXCEPT y", is(b"y")), Ok(Match::Yes));
/// assert_eq!(list_matches(b"ALL EXCEPT x y EXCEPT y", is(b"x")), Ok(Match::No));
/// ```
#[inline]
pub fn list_matches<E>(list: &[u8], mut matches: impl FnMut(&[u8]) -> Result<Match, E>) -> Result<Match, E> {
    let mut tokens = tokens(list);
    let mut parts = Parts::new();
    loop {
        let mut part = Match::No;
        let mut more = false;
        for token in tokens.by_ref() {
            if is_except(token) {
                more = true;
                break;
            }
            part = part.or(matches(token)?);
            if part == Match::Yes {
                break;
            }
        }
        if let Some(answer) = parts.take(part) {
            return Ok(answer);
        }
        if !more && !tokens.any(is_except) {
            return Ok(parts.end());
        }
    }
}

/// A list as its parts come to *no*, *unknown* or *yes*, one after the other, so that no line can exhaust the stack.
pub(crate) struct Parts {
    /// What the list comes to where the rest of it, its exceptions, comes to *no*, *unknown* or *yes*.
    answers: [Match; 3],
}

impl Parts {
    pub(crate) fn new() -> Self {
        Parts {
            answers: [Match::No, Match::Unknown, Match::Yes],
        }
    }

    /// Takes in the next part. The answer, where the rest does not matter.
    #[inline]
    pub(crate) fn take(&mut self, part: Match) -> Option<Match> {
        let answers = &mut self.answers;
        match part {
            Match::No => return Some(answers[0]),
            Match::Unknown => *answers = [answers[1], answers[1], answers[0]],
            Match::Yes => answers.reverse(),
        }
        None
    }

    /// The answer, where no part is left.
    pub(crate) fn end(&self) -> Match {
        self.answers[0]
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn matches(list: &[u8], wanted: &[u8]) -> bool {
        let matched = list_matches(list, |t| {
            Ok::<_, Infallible>(Match::from(t == wanted || t == b"ALL"))
        });
        matched == Ok(Match::Yes)
    }

    #[test]
    fn a_list_that_begins_with_except_or_is_empty_matches_nothing() {
        assert!(!matches(b"EXCEPT a", b"b"));
        assert!(!matches(b" ,\t", b"b"));
    }

    #[test]
    fn a_doubled_except_excepts_nothing() {
        assert!(matches(b"ALL EXCEPT EXCEPT a", b"a"));
    }

    #[test]
    fn exceptions_nest_to_the_right() {
        assert!(matches(b"a b EXCEPT c b EXCEPT b", b"b"));
        assert!(!matches(b"a b EXCEPT c b", b"b"));
        assert!(!matches(b"a", b"b"));
    }

    #[test]
    fn a_hundred_thousand_exceptions_are_no_trouble() {
        assert!(matches(&b"ALL EXCEPT ".repeat(99_999), b"x"));
        assert!(!matches(&b"ALL EXCEPT ".repeat(100_000), b"x"));
    }

    /// Every list of up to five tokens out of `y` (yes), `n` (no), `u` and `v` (each unknown) and `EXCEPT`: what is
    /// *yes* is so whatever the unknown ones were, and likewise what is *no*. Where each unknown one stands once,
    /// the reverse holds too.
    #[test]
    fn what_is_not_known_leaves_open_what_depends_on_it() {
        const WORDS: [&str; 5] = ["y", "n", "u", "v", "EXCEPT"];
        let answer = |list: &str, u, v| {
            let answer = |token: &[u8]| {
                Ok::<_, Infallible>(match token {
                    b"y" => Match::Yes,
                    b"n" => Match::No,
                    b"u" => u,
                    _ => v,
                })
            };
            match list_matches(list.as_bytes(), answer) {
                Ok(answer) => answer,
            }
        };
        for number in 0..WORDS.len().pow(5) {
            let words: Vec<_> = (0..5)
                .map(|at| WORDS[number / WORDS.len().pow(at) % WORDS.len()])
                .collect();
            let list = words.join(" ");
            let open = answer(&list, Match::Unknown, Match::Unknown);
            let each = [Match::Yes, Match::No].map(|u| [Match::Yes, Match::No].map(|v| answer(&list, u, v)));
            let each = each.as_flattened();
            assert!(each.iter().all(|known| *known != Match::Unknown));
            let all_alike = each.iter().all(|known| *known == each[0]);
            if open != Match::Unknown {
                assert!(all_alike && each[0] == open, "{list}");
            }
            let is_once = |word| words.iter().filter(|w| **w == word).count() <= 1;
            if open == Match::Unknown && is_once("u") && is_once("v") {
                assert!(!all_alike, "{list}");
            }
        }
    }
}
