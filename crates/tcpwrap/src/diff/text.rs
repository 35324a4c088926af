//! Differences in words for a person, and as data for a program.

use std::fmt::Write;

use analysis::compare::text::{addresses, answers, listed, service, strings, utf8};
use analysis::compare::{
    Addresses, Answers, Comparison, Difference, LeftOut, Outcome, Ports, Run, Service, Step, Strings,
    Unknown, Witness,
};
use hosts_access::{TableKind, Verdict};
use serde_json::{Value, json};

use crate::output::{self, BAD, DIM, GOOD, NOTE, escape};

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
        let services: Vec<String> = left_out.services.iter().map(|one| service(one, most)).collect();
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
    for (at, one) in difference.services.iter().take(most).enumerate() {
        let label = if at == 0 { "  daemons:" } else { "      and:" };
        let _ = writeln!(out, "{label} {}", escape(service(one, most).as_bytes()));
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
    for one in &clients.answers {
        field("where:", answers(one));
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

/// The verdict in a word or two.
fn verdict(outcome: &Outcome) -> &'static str {
    let mut steps = outcome.steps.iter();
    match (&outcome.steps[..], steps.any(|step| step.may_fail)) {
        (_, true) => "a command decides",
        ([.., last], false) => output::verdict(last.verdict),
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
    let mut text = output::verdict(step.verdict).to_owned();
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
    for one in &witness.answers {
        let _ = write!(out, ", {}", answers(one));
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
            "verdict": output::verdict(step.verdict),
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
            "verdict": output::verdict(decided.verdict),
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
