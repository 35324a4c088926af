//! The clients of earlier rules, by the kind of pattern, so that one is found without trying them all.

use std::borrow::Cow;
use std::collections::HashMap;

use super::super::reach::{Reach, string_covers, v6};
use super::MOST_TRIED;
use super::blocks::{Blocks, Cover};
use super::quick::Quick;
use hosts_access::syntax::pattern::{ClientPattern, HostPattern, StringPattern};

/// A client token, with what its host part reaches.
#[derive(Clone, Copy)]
pub(super) struct Client<'t> {
    pub(super) text: &'t [u8],
    pub(super) has_user: bool,
    pub(super) reach: Reach<'t>,
}

impl<'t> Client<'t> {
    pub(super) fn new(text: &'t [u8], pattern: &ClientPattern<'t>) -> Self {
        Client {
            text,
            has_user: pattern.user.is_some(),
            reach: Reach::of(pattern.host),
        }
    }

    pub(super) fn covers(&self, inner: &Client<'_>) -> bool {
        if self.has_user {
            self.text == inner.text
        } else {
            self.reach.covers(&inner.reach)
        }
    }
}

/// The clients of earlier rules for one daemon.
#[derive(Default)]
pub(super) struct Clients<'t> {
    all: Option<u32>,
    v4: Blocks<u32>,
    v6: Blocks<u128>,
    names: HashMap<Cow<'t, [u8]>, u32, Quick>,
    suffixes: HashMap<Cow<'t, [u8]>, u32, Quick>,
    others: HashMap<Cow<'t, [u8]>, u32, Quick>,
    patterns: Vec<(StringPattern<'t>, u32)>,
}

impl<'t> Clients<'t> {
    pub(super) fn add(&mut self, client: &Client<'t>, rule: u32) {
        if client.has_user {
            self.others.entry(Cow::Borrowed(client.text)).or_insert(rule);
            return;
        }
        match client.reach {
            Reach::Nothing => {}
            Reach::All => self.all = self.all.or(Some(rule)),
            Reach::V4(net, length) => self.v4.add(net, length, rule),
            Reach::V6(net, length) => self.v6.add(net, length, rule),
            Reach::Name(StringPattern::Exact(name)) => {
                self.names.entry(lower(name)).or_insert(rule);
            }
            Reach::Name(StringPattern::Suffix(suffix)) => {
                self.suffixes.entry(lower(suffix)).or_insert(rule);
            }
            Reach::Name(pattern) => {
                if self.patterns.len() < MOST_TRIED {
                    self.patterns.push((pattern, rule));
                }
            }
            Reach::Other(_) => {
                self.others.entry(other_key(client.text)).or_insert(rule);
            }
        }
    }

    pub(super) fn cover(&self, client: &Client<'_>) -> Option<Cover> {
        let alone = |rule: u32| Cover {
            rule,
            together: false,
        };
        if let Some(rule) = self.all {
            return Some(alone(rule));
        }
        if client.has_user
            && let Some(rule) = self.others.get(client.text)
        {
            return Some(alone(*rule));
        }
        match client.reach {
            Reach::V4(net, length) => self.v4.cover(net, length),
            Reach::V6(net, length) => self.v6.cover(net, length),
            Reach::Name(name) => self.name(name).map(alone),
            Reach::Other(HostPattern::Text {
                pattern: StringPattern::Bracketed(inner),
                ..
            }) => {
                let by_text = self
                    .others
                    .get(other_key(client.text).as_ref())
                    .map(|rule| alone(*rule));
                let bits = v6(inner).map(|v6| v6.bits);
                by_text.or_else(|| self.v6.cover(bits?, 128))
            }
            Reach::Other(_) if !client.has_user => self
                .others
                .get(other_key(client.text).as_ref())
                .map(|rule| alone(*rule)),
            Reach::All | Reach::Nothing | Reach::Other(_) => None,
        }
    }

    fn name(&self, inner: StringPattern<'_>) -> Option<u32> {
        let (text, is_exact) = match inner {
            StringPattern::Exact(text) => (text, true),
            StringPattern::Suffix(text) => (text, false),
            StringPattern::Wildcard(_)
            | StringPattern::All
            | StringPattern::Known
            | StringPattern::Prefix(_)
            | StringPattern::Bracketed(_) => (&b""[..], false),
        };
        if !text.is_empty() {
            let text = lower(text);
            if is_exact && let Some(rule) = self.names.get(text.as_ref()) {
                return Some(*rule);
            }
            // A suffix covers itself and longer ones, but no name that is only itself.
            let from = usize::from(is_exact);
            let found = (from..text.len())
                .filter(|at| text[*at] == b'.')
                .find_map(|at| self.suffixes.get(&text[at..]));
            if let Some(rule) = found {
                return Some(*rule);
            }
        }
        self.patterns
            .iter()
            .find(|(outer, _)| string_covers(*outer, inner))
            .map(|(_, rule)| *rule)
    }
}

/// Netgroups and files are told apart by the case of their letters.
fn other_key(text: &[u8]) -> Cow<'_, [u8]> {
    if matches!(text.first(), Some(b'@' | b'/')) {
        Cow::Borrowed(text)
    } else {
        lower(text)
    }
}

/// In small letters, copied only where need be.
pub(super) fn lower(text: &[u8]) -> Cow<'_, [u8]> {
    if text.iter().any(u8::is_ascii_uppercase) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}
