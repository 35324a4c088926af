//! Differences in words for a person, and as data for a program.

use std::fmt::Write;

use analysis::compare::{
    Addresses, Block, Comparison, Difference, LeftOut, Outcome, Port, Service, Step, Strings, Unknown,
    Witness,
};
use hosts_access::{TableKind, Verdict};
use serde_json::{Value, json};

use crate::output::{BAD, DIM, GOOD, NOTE, escape, utf8};

/// So many of a kind are shown; the JSON output holds all of them.
const MOST_SHOWN: usize = 12;

/// The whole comparison, for the terminal.
pub fn render(comparison: &Comparison) -> String {
    let mut out = String::new();
    if comparison.differences.is_empty() && comparison.left_out.is_empty() {
        return "No request ends differently.\n".to_owned();
    }
    for difference in &comparison.differences {
        out.push_str(&one(difference));
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
        let services: Vec<String> = left_out.services.iter().map(service_text).collect();
        let text = format!("{}: {}", listed(services, "service"), left_out.problem);
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

fn one(difference: &Difference) -> String {
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
    for (at, service) in difference.services.iter().take(MOST_SHOWN).enumerate() {
        let label = if at == 0 { "  daemons:" } else { "      and:" };
        let _ = writeln!(out, "{label} {}", escape(service_text(service).as_bytes()));
    }
    let more = difference.services.len().saturating_sub(MOST_SHOWN);
    if more > 0 {
        let _ = writeln!(out, "           and {more} more");
    }
    let clients = &difference.clients;
    let mut field = |label: &str, text: String| {
        let _ = writeln!(out, "  {label:<8} {}", escape(text.as_bytes()));
    };
    field("clients:", addresses(&clients.addresses));
    if let Some(names) = &clients.names {
        field("names:", strings(names, "name"));
    }
    if let Some(users) = &clients.users {
        field("users:", strings(users, "user"));
    }
    for (group, holds) in &clients.netgroups {
        let is = if *holds { "in" } else { "not in" };
        field("group:", format!("{is} @{}", utf8(group)));
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
    match &outcome.steps[..] {
        [one] => word(one.verdict),
        _ => "a command decides",
    }
}

fn step(step: &Step) -> String {
    let mut text = word(step.verdict).to_owned();
    for (at, run) in step.runs.iter().enumerate() {
        text.push_str(if at == 0 { ", with " } else { ", " });
        text.push_str(run.keyword.as_str());
        if !run.value.is_empty() {
            let _ = write!(text, " `{}`", utf8(&run.value));
        }
    }
    if let Some(severity) = step.severity {
        let _ = write!(text, ", logged at severity {}", severity.0);
    }
    text
}

fn outcome(outcome: &Outcome) -> String {
    let steps: Vec<String> = outcome.steps.iter().map(step).collect();
    steps.join("; if its command fails: ")
}

fn listed(mut items: Vec<String>, of: &str) -> String {
    let more = items.len().saturating_sub(MOST_SHOWN);
    if more > 1 {
        items.truncate(MOST_SHOWN);
        items.push(format!("and {more} more {of}s"));
    }
    items.join(", ")
}

fn strings(strings: &[Strings], of: &str) -> String {
    let texts = strings.iter().map(|s| match s {
        Strings::Exactly(text) => utf8(text),
        Strings::Matching(patterns) => {
            let patterns: Vec<_> = patterns.iter().map(|p| utf8(p)).collect();
            format!("other {}", patterns.join(" and "))
        }
        Strings::Other => format!("any other {of}"),
        Strings::OtherDotted => format!("any other {of} with a dot"),
        Strings::OtherLocal => format!("any other {of} without a dot"),
    });
    listed(texts.collect(), of)
}

fn addresses(addresses: &Addresses) -> String {
    if addresses.is_all() {
        return "any".to_owned();
    }
    if let Some(rest) = nearly_all(addresses) {
        return format!("any but {}", listed(rest, "block"));
    }
    let texts_of = |blocks: &[Block]| blocks.iter().map(ToString::to_string).collect::<Vec<_>>();
    let mut texts = Vec::new();
    for part in &addresses.parts {
        let rest = part.rest();
        let mut text = if rest.len() < part.blocks.len() {
            let family = if rest.iter().all(|block| block.address.is_ipv4()) {
                "IPv4"
            } else {
                "IPv6"
            };
            format!("any {family} address but {}", listed(texts_of(&rest), "block"))
        } else {
            listed(texts_of(&part.blocks), "block")
        };
        for (at, (pattern, holds)) in part.spelled.iter().enumerate() {
            let joint = if at == 0 { " that" } else { " and" };
            let is = if *holds { "match" } else { "do not match" };
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

fn service_text(service: &Service) -> String {
    let mut text = match &service.daemons {
        None => "any".to_owned(),
        Some(daemons) => strings(daemons, "daemon"),
    };
    if let Some(ports) = &service.ports {
        let ports = ports.iter().map(|port| match port {
            Port::Exactly(port) => port.to_string(),
            Port::Other => "any other".to_owned(),
        });
        let _ = write!(text, "; port {}", listed(ports.collect(), "port"));
    }
    if let Some(at) = &service.addresses {
        let _ = write!(text, "; server address {}", addresses(at));
    }
    if let Some(names) = &service.names {
        let _ = write!(text, "; server name {}", strings(names, "name"));
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
    let one = |s: &Strings| match s {
        Strings::Exactly(text) => json!({"exactly": utf8(text)}),
        Strings::Matching(patterns) => {
            json!({"matching": patterns.iter().map(|p| utf8(p)).collect::<Vec<_>>()})
        }
        Strings::Other => json!("other"),
        Strings::OtherDotted => json!("other with a dot"),
        Strings::OtherLocal => json!("other without a dot"),
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

fn outcome_json(outcome: &Outcome) -> Value {
    let step = |step: &Step| {
        let runs = step.runs.iter();
        json!({
            "verdict": word(step.verdict),
            "runs": runs.map(|r| json!({"option": r.keyword.as_str(), "value": utf8(&r.value)})).collect::<Vec<_>>(),
            "severity": step.severity.map(|s| s.0),
            "may_fail": step.may_fail,
        })
    };
    outcome.steps.iter().map(step).collect()
}

fn service_json(service: &Service) -> Value {
    let ports = service.ports.as_ref().map(|ports| {
        let one = |port: &Port| match port {
            Port::Exactly(port) => json!(port),
            Port::Other => json!("other"),
        };
        ports.iter().map(one).collect::<Vec<_>>()
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
            "old": witness.decided.first().map(decided),
            "new": witness.decided.get(1).map(decided),
        },
    })
}
