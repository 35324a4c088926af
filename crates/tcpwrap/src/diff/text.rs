//! Differences in words for a person, and as data for a program.

use std::fmt::Write;

use analysis::compare::{
    Addresses, Answers, Block, Comparison, Difference, LeftOut, Like, Outcome, Ports, Run, Service, Step,
    Strings, Unknown, Witness,
};
use hosts_access::{TableKind, Verdict};
use serde_json::{Value, json};

use crate::output::{BAD, DIM, GOOD, NOTE, escape, utf8};

/// So many of a kind are shown to a person.
pub const FEW: usize = 12;

/// The comparison, for the terminal.
pub fn render(comparison: &Comparison) -> String {
    render_most(comparison, FEW)
}

/// The comparison for the terminal, with at most so many of a kind.
pub fn render_most(comparison: &Comparison, most: usize) -> String {
    let mut out = String::new();
    if comparison.differences.is_empty() && comparison.left_out.is_empty() {
        return "No request ends differently.\n".to_owned();
    }
    for difference in &comparison.differences {
        out.push_str(&one(difference, most));
        out.push('\n');
    }
    for unknown in &comparison.unknowns {
        let _ = writeln!(
            out,
            "{NOTE}unknown:{NOTE:#} {}",
            escape(unknown_text(unknown).as_bytes())
        );
    }
    for left_out in &comparison.left_out {
        let services: Vec<String> = left_out
            .services
            .iter()
            .map(|service| service_text(service, most))
            .collect();
        let text = format!("{}: {}", listed(services, "service", most), left_out.problem);
        let _ = writeln!(out, "{NOTE}not compared:{NOTE:#} {}", escape(text.as_bytes()));
    }
    let count = comparison.differences.len();
    if count == 0 {
        out.push_str("No other request ends differently.\n");
        return out;
    }
    let plural = if count == 1 { "" } else { "s" };
    let _ = writeln!(
        out,
        "{count} difference{plural}, each confirmed by deciding the request shown."
    );
    out
}

fn one(difference: &Difference, most: usize) -> String {
    let mut out = String::new();
    let heads = [&difference.old, &difference.new].map(|o| (verdict(o), outcome(o)));
    let style = match difference.new.steps.last().map(|step| step.verdict) {
        Some(Verdict::Granted) => GOOD,
        Some(Verdict::Denied) => BAD,
        _ => NOTE,
    };
    let _ = writeln!(out, "{style}{} → {}{style:#}", heads[0].0, heads[1].0);
    if heads[0].1 != heads[0].0 || heads[1].1 != heads[1].0 {
        let _ = writeln!(out, "  was:     {}", escape(heads[0].1.as_bytes()));
        let _ = writeln!(out, "  becomes: {}", escape(heads[1].1.as_bytes()));
    }
    for (at, service) in difference.services.iter().take(most).enumerate() {
        let label = if at == 0 { "  daemons:" } else { "      and:" };
        let _ = writeln!(out, "{label} {}", escape(service_text(service, most).as_bytes()));
    }
    let more = difference.services.len().saturating_sub(most);
    if more > 0 {
        let _ = writeln!(out, "           and {more} more");
    }
    let clients = &difference.clients;
    let mut field = |label: &str, text: String| {
        let _ = writeln!(out, "  {label:<8} {}", escape(text.as_bytes()));
    };
    field("clients:", addresses(&clients.addresses, most));
    if let Some(names) = &clients.names {
        field("names:", strings(names, "name", most));
    }
    if let Some(users) = &clients.users {
        field("users:", strings(users, "user", most));
    }
    for (group, holds) in &clients.netgroups {
        let is = if *holds { "in" } else { "not in" };
        field("group:", format!("{is} @{}", utf8(group)));
    }
    for answers in &clients.answers {
        field("where:", answers_text(answers));
    }
    let witness = &difference.witness;
    let _ = writeln!(
        out,
        "  {DIM}such as: {}{DIM:#}",
        escape(request(witness).as_bytes())
    );
    for (label, decided) in ["old:", "new:"].iter().zip(&witness.decided) {
        let text = match &decided.rule {
            Some((table, _, line)) => {
                let text = utf8(&decided.text);
                format!("{} line {line}: {}", table_name(*table), text.trim())
            }
            None if decided.verdict == Verdict::Granted => "no rule matches".to_owned(),
            None => "no rule grants".to_owned(),
        };
        let _ = writeln!(out, "    {DIM}{label} {}{DIM:#}", escape(text.as_bytes()));
    }
    out
}

fn table_name(table: TableKind) -> &'static str {
    match table {
        TableKind::Allow => "hosts.allow",
        TableKind::Deny => "hosts.deny",
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Granted => "granted",
        Verdict::Denied => "denied",
        Verdict::Delegated => "delegated",
    }
}

/// The verdict in a word or two.
fn verdict(outcome: &Outcome) -> &'static str {
    let mut steps = outcome.steps.iter();
    match (&outcome.steps[..], steps.any(|step| step.may_fail)) {
        (_, true) => "a command decides",
        ([.., last], false) => word(last.verdict),
        ([], false) => "",
    }
}

/// What one option does.
fn run_text(run: &Run) -> String {
    let word = run.keyword.as_str();
    match run.value.is_empty() {
        true => word.to_owned(),
        false => format!("{word} `{}`", utf8(&run.value)),
    }
}

fn step(step: &Step) -> String {
    let bounds: Vec<String> = step.bounds.iter().map(run_text).collect();
    if step.is_asked_only {
        return format!("denied beyond {}; within", bounds.join(" or "));
    }
    let mut text = word(step.verdict).to_owned();
    if !step.bounds.is_empty() {
        let _ = write!(text, " within {}", bounds.join(" and "));
    }
    let runs: Vec<String> = step.runs.iter().map(run_text).collect();
    if !runs.is_empty() {
        let _ = write!(text, ", with {}", runs.join(", "));
    }
    if !step.beyond.is_empty() {
        let beyond: Vec<String> = step.beyond.iter().map(run_text).collect();
        let _ = write!(text, ", beyond that denied with {}", beyond.join(", "));
    }
    if let Some(severity) = step.severity {
        let _ = write!(text, ", logged at severity {}", severity.0);
    }
    text
}

fn outcome(outcome: &Outcome) -> String {
    let mut text = String::new();
    for (at, one) in outcome.steps.iter().enumerate() {
        let last = outcome.steps[..at].last();
        text.push_str(match last {
            None => "",
            Some(last) if last.is_asked_only => ": ",
            Some(_) => "; if its command fails: ",
        });
        text.push_str(&step(one));
    }
    text
}

/// The answers to a question, in patterns.
pub fn answers_text(answers: &Answers) -> String {
    let asks: Vec<String> = answers.asks.iter().map(|pattern| utf8(pattern)).collect();
    let asks = asks.join(" or ");
    let one = |(pattern, matches): &(Vec<u8>, bool)| match matches {
        true => utf8(pattern),
        false => format!("not {}", utf8(pattern)),
    };
    let all = |patterns: &Vec<(Vec<u8>, bool)>| {
        let patterns: Vec<String> = patterns.iter().map(one).collect();
        patterns.join(" and ")
    };
    match (&answers.any_of[..], answers.unknown) {
        ([], _) => format!("it is not known whether {asks}"),
        ([any], _) if any.is_empty() => format!("it is known whether {asks}"),
        (any_of, unknown) => {
            let any_of: Vec<String> = any_of.iter().map(all).collect();
            let or = if unknown { ", or that is not known" } else { "" };
            format!("{}{or}", any_of.join("; or "))
        }
    }
}

fn listed(mut items: Vec<String>, of: &str, most: usize) -> String {
    let more = items.len().saturating_sub(most);
    if more > 1 {
        items.truncate(most);
        items.push(format!("and {more} more {of}s"));
    }
    items.join(", ")
}

/// Patterns first, each with what it is without, and then names that stand for themselves.
fn strings(strings: &[Strings], of: &str, most: usize) -> String {
    let mut likes = Vec::new();
    let mut exact = Vec::new();
    for one in strings {
        match one {
            Strings::Like(one) => likes.push(like(one, of, most)),
            Strings::Exactly(text) => exact.push(exactly(text)),
        }
    }
    let more = likes.len().saturating_sub(most);
    if more > 1 {
        likes.truncate(most);
        likes.push(format!("and {more} more patterns"));
    }
    if !exact.is_empty() {
        likes.push(listed(exact, of, most));
    }
    likes.join("; ")
}

fn like(one: &Like, of: &str, most: usize) -> String {
    let patterns: Vec<String> = one.like.iter().map(|pattern| utf8(pattern)).collect();
    let mut text = match &patterns[..] {
        [] => "any".to_owned(),
        patterns => patterns.join(" and "),
    };
    text.push_str(match one.dot {
        None => "",
        Some(true) => " with a dot",
        Some(false) => " without a dot",
    });
    let without = one.unlike.iter().map(|pattern| utf8(pattern));
    let without: Vec<String> = without.chain(one.but.iter().map(|text| exactly(text))).collect();
    if !without.is_empty() {
        let _ = write!(text, " but {}", listed(without, of, most));
    }
    text
}

/// A string that stands for itself, in quotes where it could be taken for a pattern or a word of ours.
fn exactly(text: &[u8]) -> String {
    let is_plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.:%@/+~".contains(b) || *b >= 0x80;
    let is_name =
        text.iter().all(is_plain) && !text.starts_with(b".") && !text.ends_with(b".") && text != b"any";
    if is_name {
        utf8(text)
    } else {
        format!("\"{}\"", utf8(text).replace('"', "\\x22"))
    }
}

fn addresses(addresses: &Addresses, most: usize) -> String {
    if addresses.is_all() {
        return "any".to_owned();
    }
    if let Some(rest) = nearly_all(addresses) {
        return format!("any but {}", listed(rest, "block", most));
    }
    let texts_of = |blocks: &[Block]| blocks.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut texts = Vec::new();
    for part in &addresses.parts {
        let rest = part.rest();
        let mut text = if rest.len() < part.blocks.len() {
            let is_ipv4 = part.blocks.first().is_some_and(|block| block.address.is_ipv4());
            let family = if is_ipv4 { "IPv4" } else { "IPv6" };
            match rest.is_empty() {
                true => format!("any {family} address"),
                false => format!(
                    "any {family} address but {}",
                    listed(texts_of(&rest), "block", most)
                ),
            }
        } else {
            listed(texts_of(&part.blocks), "block", most)
        };
        for (at, (pattern, holds)) in part.spelled.iter().enumerate() {
            let joint = if at == 0 { ", where the text" } else { " and" };
            let is = if *holds { "matches" } else { "does not match" };
            let _ = write!(text, "{joint} {is} {}", utf8(pattern));
        }
        texts.push(text);
    }
    if addresses.unknown {
        texts.push("an unknown address".to_owned());
    }
    texts.join("; ")
}

/// The blocks that are left out of all addresses, where that is the shorter way to say it.
fn nearly_all(addresses: &Addresses) -> Option<Vec<String>> {
    let [v4, v6] = &addresses.parts[..] else {
        return None;
    };
    let is_plain = addresses.unknown && v4.spelled.is_empty() && v6.spelled.is_empty();
    let rest = [v4.rest(), v6.rest()].concat();
    let is_shorter = rest.len() < v4.blocks.len() + v6.blocks.len();
    let is_each = v4.blocks.first()?.address.is_ipv4() && v6.blocks.first()?.address.is_ipv6();
    (is_plain && is_shorter && is_each).then(|| rest.iter().map(ToString::to_string).collect())
}

/// A service in words.
pub fn service_text(service: &Service, most: usize) -> String {
    let mut text = match &service.daemons {
        None => "any".to_owned(),
        Some(daemons) => strings(daemons, "daemon", most),
    };
    if let Some(ports) = &service.ports {
        let (joint, ports) = match ports {
            Ports::These(ports) => ("", ports),
            Ports::AllBut(ports) => ("any but ", ports),
        };
        let ports = ports.iter().map(ToString::to_string).collect();
        let _ = write!(text, "; port {joint}{}", listed(ports, "port", most));
    }
    if let Some(at) = &service.addresses {
        let _ = write!(text, "; server address {}", addresses(at, most));
    }
    if let Some(names) = &service.names {
        let _ = write!(text, "; server name {}", strings(names, "name", most));
    }
    for (group, holds) in &service.netgroups {
        let is = if *holds { "in" } else { "not in" };
        let _ = write!(text, "; server {is} @{}", utf8(group));
    }
    text
}

fn request(witness: &Witness) -> String {
    let text = utf8;
    let mut out = format!("{} from {}", text(&witness.daemon), text(&witness.address));
    let _ = write!(
        out,
        ", name {}, user {}",
        text(&witness.name),
        text(&witness.user)
    );
    if let Some(port) = witness.port {
        let _ = write!(out, ", server port {port}");
    }
    if witness.server_address != b"unknown" || witness.server_name != b"unknown" {
        let _ = write!(
            out,
            ", server {} ({})",
            text(&witness.server_address),
            text(&witness.server_name)
        );
    }
    for group in &witness.groups {
        let _ = write!(out, ", in @{}", text(group));
    }
    for answers in &witness.answers {
        let _ = write!(out, ", {}", answers_text(answers));
    }
    out
}

fn unknown_text(unknown: &Unknown) -> String {
    match unknown {
        Unknown::Command(command) => {
            format!("whether aclexec `{}` succeeds", utf8(command))
        }
        Unknown::Netgroup(group) => {
            format!("which hosts are in netgroup @{}", utf8(group))
        }
        Unknown::Scope => "network interfaces: addresses were compared without their %scope".to_owned(),
    }
}

/// The whole comparison, as JSON.
pub fn json(comparison: &Comparison) -> Value {
    json!({
        "changed": !comparison.differences.is_empty(),
        "differences": comparison.differences.iter().map(difference_json).collect::<Vec<_>>(),
        "unknowns": comparison.unknowns.iter().map(unknown_text).collect::<Vec<_>>(),
        "left_out": comparison.left_out.iter().map(left_out_json).collect::<Vec<_>>(),
    })
}

fn strings_json(strings: &Option<Vec<Strings>>) -> Value {
    let Some(strings) = strings else {
        return Value::Null;
    };
    let texts = |texts: &[Vec<u8>]| texts.iter().map(|text| utf8(text)).collect::<Vec<_>>();
    let one = |s: &Strings| match s {
        Strings::Exactly(text) => json!({"exactly": utf8(text)}),
        Strings::Like(like) => json!({
            "like": texts(&like.like),
            "dot": like.dot,
            "unlike": texts(&like.unlike),
            "but": texts(&like.but),
        }),
    };
    strings.iter().map(one).collect()
}

fn addresses_json(addresses: &Addresses) -> Value {
    let part = |part: &analysis::compare::AddressPart| {
        let spelled = part.spelled.iter();
        json!({
            "blocks": part.blocks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "spelled": spelled.map(|(p, holds)| json!({"pattern": utf8(p), "matches": holds})).collect::<Vec<_>>(),
        })
    };
    json!({
        "all": addresses.is_all(),
        "parts": addresses.parts.iter().map(part).collect::<Vec<_>>(),
        "unknown": addresses.unknown,
    })
}

fn groups_json(groups: &[(Vec<u8>, bool)]) -> Value {
    let groups = groups.iter();
    groups
        .map(|(group, holds)| json!({"netgroup": utf8(group), "member": holds}))
        .collect()
}

fn answers_json(answers: &[Answers]) -> Value {
    let texts = |texts: &[Vec<u8>]| texts.iter().map(|text| utf8(text)).collect::<Vec<_>>();
    let all = |patterns: &Vec<(Vec<u8>, bool)>| {
        let patterns = patterns.iter();
        patterns
            .map(|(pattern, matches)| json!({"pattern": utf8(pattern), "matches": matches}))
            .collect::<Vec<_>>()
    };
    let one = |answers: &Answers| {
        json!({
            "asks": texts(&answers.asks),
            "any_of": answers.any_of.iter().map(all).collect::<Vec<_>>(),
            "unknown": answers.unknown,
        })
    };
    answers.iter().map(one).collect()
}

fn runs_json(runs: &[Run]) -> Value {
    let runs = runs.iter();
    runs.map(|run| json!({"option": run.keyword.as_str(), "value": utf8(&run.value)}))
        .collect()
}

fn outcome_json(outcome: &Outcome) -> Value {
    let step = |step: &Step| {
        json!({
            "verdict": word(step.verdict),
            "bounds": runs_json(&step.bounds),
            "asked_only": step.is_asked_only,
            "beyond": runs_json(&step.beyond),
            "runs": runs_json(&step.runs),
            "severity": step.severity.map(|s| s.0),
            "may_fail": step.may_fail,
        })
    };
    outcome.steps.iter().map(step).collect()
}

/// The same as data.
pub fn service_json(service: &Service) -> Value {
    let ports = service.ports.as_ref().map(|ports| match ports {
        Ports::These(ports) => json!({ "these": ports }),
        Ports::AllBut(ports) => json!({ "all_but": ports }),
    });
    json!({
        "daemons": strings_json(&service.daemons),
        "ports": ports,
        "server_addresses": service.addresses.as_ref().map(addresses_json),
        "server_names": strings_json(&service.names),
        "server_netgroups": groups_json(&service.netgroups),
    })
}

fn left_out_json(left_out: &LeftOut) -> Value {
    json!({
        "services": left_out.services.iter().map(service_json).collect::<Vec<_>>(),
        "problem": left_out.problem.to_string(),
    })
}

fn difference_json(difference: &Difference) -> Value {
    let witness = &difference.witness;
    let decided = |decided: &analysis::compare::Decided| {
        json!({
            "verdict": word(decided.verdict),
            "file": decided.rule.as_ref().map(|(_, path, _)| path.display().to_string()),
            "line": decided.rule.as_ref().map(|(.., line)| line),
            "text": utf8(&decided.text),
        })
    };
    json!({
        "services": difference.services.iter().map(service_json).collect::<Vec<_>>(),
        "addresses": addresses_json(&difference.clients.addresses),
        "names": strings_json(&difference.clients.names),
        "users": strings_json(&difference.clients.users),
        "netgroups": groups_json(&difference.clients.netgroups),
        "answers": answers_json(&difference.clients.answers),
        "old": outcome_json(&difference.old),
        "new": outcome_json(&difference.new),
        "witness": {
            "daemon": utf8(&witness.daemon),
            "port": witness.port,
            "server_address": utf8(&witness.server_address),
            "server_name": utf8(&witness.server_name),
            "server_netgroups": witness.server_groups.iter().map(|g| utf8(g)).collect::<Vec<_>>(),
            "address": utf8(&witness.address),
            "name": utf8(&witness.name),
            "user": utf8(&witness.user),
            "netgroups": witness.groups.iter().map(|g| utf8(g)).collect::<Vec<_>>(),
            "answers": answers_json(&witness.answers),
            "old": witness.decided.first().map(decided),
            "new": witness.decided.get(1).map(decided),
        },
    })
}
