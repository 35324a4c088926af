//! Daemon and client lists: tokens, and `EXCEPT` (hosts_access(5), OPERATORS).

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
/// matches nothing.
///
/// ```
/// use hosts_access::syntax::list::list_matches;
/// let is = |wanted: &'static [u8]| move |t: &[u8]| t == b"ALL" || t == wanted;
/// assert!(list_matches(b"ALL EXCEPT x y EXCEPT y", is(b"y")));
/// assert!(!list_matches(b"ALL EXCEPT x y EXCEPT y", is(b"x")));
/// ```
pub fn list_matches(list: &[u8], mut matches: impl FnMut(&[u8]) -> bool) -> bool {
    let mut tokens = tokens(list);
    // Each EXCEPT that is reached turns the answer round; a loop, so that no line can exhaust the stack.
    let mut answer = true;
    loop {
        loop {
            match tokens.next() {
                Some(token) if is_except(token) => return !answer,
                Some(token) if matches(token) => break,
                Some(_) => {}
                None => return !answer,
            }
        }
        if !tokens.any(is_except) {
            return answer;
        }
        answer = !answer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(list: &[u8], wanted: &[u8]) -> bool {
        list_matches(list, |t| t == wanted || t == b"ALL")
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
}
