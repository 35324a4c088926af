//! What a ban would change, or that it is taken back: whom the tables then refuse, or let in, computed.

use std::fmt::Write;
use std::path::Path;

use analysis::compare::text as words;
use analysis::compare::{Banning, Block, LetIn, banning};
use analysis::document::{Content, Document, content};
use hosts_access::Tables;
use serde_json::{Value, json};
use state::bans;
use state::network::Network;

use super::trouble;
use crate::check::input::{self, Policy};
use crate::diff::text;
use crate::output::{NOTE, escape, utf8};

/// What would change.
pub struct Preview {
    networks: Vec<Network>,
    found: Banning,
    policy: Policy,
    are_banned: bool,
}

/// What would change if these networks were banned, or no longer. `lifted` are the bans that would be taken back.
///
/// # Errors
/// A message, where the list or the tables cannot be read, or are too much to follow.
pub fn of(
    list: &Path,
    networks: &[Network],
    lifted: Option<&[bans::Ban]>,
    now: u64,
) -> Result<Preview, String> {
    let contents = bans::contents(list).map_err(|error| trouble(list, &error))?;
    let others = contents.bans.iter().filter(|ban| {
        let is_lifted = lifted.is_some_and(|lifted| {
            let mut lifted = lifted.iter();
            lifted.any(|one| (one.network, &one.origin) == (ban.network, &ban.origin))
        });
        !ban.expiry.is_over(now) && !is_lifted
    });
    let besides: Vec<Block> = others.map(|ban| block(ban.network)).collect();
    let policy = input::both(&Tables::default(), false)?;
    let blocks: Vec<Block> = networks.iter().copied().map(block).collect();
    let are_banned = lifted.is_none();
    let found =
        banning(policy.tables(), &blocks, &besides, are_banned).map_err(|problem| problem.to_string())?;
    Ok(Preview {
        networks: networks.to_vec(),
        found,
        policy,
        are_banned,
    })
}

fn block(network: Network) -> Block {
    Block {
        address: network.address(),
        length: network.length(),
    }
}

impl Preview {
    /// In words.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let comparison = &self.found.comparison;
        if !comparison.differences.is_empty() || !comparison.left_out.is_empty() {
            out.push_str(&text::render(comparison));
        } else {
            let why = match (self.found.is_asked, &self.found.let_in[..]) {
                (false, _) => "no rule asks for {banned}",
                (true, []) => "nobody from there is let in, banned or not",
                (true, _) if self.are_banned => "no request is refused that was not",
                (true, _) => "all that is let in is let in already, or is still banned by another ban",
            };
            let _ = writeln!(out, "{NOTE}nothing changes:{NOTE:#} {why}");
        }
        for one in self.let_in() {
            let services: Vec<String> = one
                .services
                .iter()
                .map(|service| words::service(service, text::FEW))
                .collect();
            let by = match self.rule(one) {
                Some((file, line, rule)) => format!("{file} line {line}: {rule}"),
                None => "no rule matches".to_owned(),
            };
            let line = format!("{}: {by}", services.join("; "));
            let _ = writeln!(
                out,
                "{NOTE}let in all the same:{NOTE:#} {}",
                escape(line.as_bytes())
            );
        }
        out
    }

    /// As data.
    pub fn json(&self) -> Value {
        let let_in = self.let_in().map(|one| {
            let rule = self.rule(one);
            json!({
                "services": one.services.iter().map(text::service_json).collect::<Vec<_>>(),
                "file": rule.as_ref().map(|(file, ..)| file),
                "line": rule.as_ref().map(|(_, line, _)| line),
                "text": rule.as_ref().map(|(.., text)| text),
            })
        });
        json!({
            "networks": self.networks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "is_asked": self.found.is_asked,
            "let_in": let_in.collect::<Vec<_>>(),
            "diff": text::json(&self.found.comparison),
        })
    }

    /// By what those who are banned are let in all the same.
    fn let_in(&self) -> impl Iterator<Item = &LetIn> {
        let let_in = self.found.let_in.iter();
        let_in.filter(|_| self.are_banned)
    }

    /// The file, the line and the text of the rule.
    fn rule(&self, one: &LetIn) -> Option<(String, u32, String)> {
        let (table, at) = one.rule?;
        let document: &Document = self.policy.table(table)?;
        let entry = document.entries.get(at)?;
        let line = document.line(entry);
        let text = match content(&line) {
            Content::Rule(_) => utf8(line.trim_ascii()),
            _ => return None,
        };
        Some((document.path.display().to_string(), entry.first_line, text))
    }
}
