//! Findings for programs: one JSON document, or SARIF 2.1.0 for code scanners.

use analysis::check::{Code, Edit, Finding, Fix, Level, Span, code};
use analysis::document::Document;
use hosts_access::TableKind;
use serde_json::{Value, json};

use super::input::Policy;

/// All findings as one JSON document.
pub fn json(policies: &[(Policy, Vec<Finding>)]) -> Value {
    let findings: Vec<Value> = each(policies)
        .map(|(policy, finding)| finding_json(policy, finding))
        .collect();
    let count = |level| each(policies).filter(|(_, f)| f.level == level).count();
    json!({
        "findings": findings,
        "summary": {
            "errors": count(Level::Error),
            "warnings": count(Level::Warning),
            "infos": count(Level::Info),
        },
    })
}

fn each(policies: &[(Policy, Vec<Finding>)]) -> impl Iterator<Item = (&Policy, &Finding)> {
    policies
        .iter()
        .flat_map(|(policy, found)| found.iter().map(move |finding| (policy, finding)))
}

fn finding_json(policy: &Policy, finding: &Finding) -> Value {
    let related: Vec<Value> = finding
        .related
        .iter()
        .map(|related| {
            json!({
                "file": file(policy.table(related.table)),
                "line": related.span.line,
                "column": related.span.column,
                "message": related.text,
            })
        })
        .collect();
    let span = &finding.span;
    json!({
        "code": finding.code.id,
        "name": finding.code.name,
        "level": finding.level.as_str(),
        "table": table_name(finding.table),
        "file": file_of(policy, finding),
        "line": span.line,
        "column": span.column,
        "offset": span.bytes.start,
        "length": span.bytes.len(),
        "text": source(policy, finding, span),
        "message": finding.message,
        "help": finding.help,
        "fix": finding.fix.as_ref().map(fix_json),
        "related": related,
    })
}

fn fix_json(fix: &Fix) -> Value {
    let edits: Vec<Value> = fix.edits.iter().map(edit_json).collect();
    json!({ "title": fix.title, "safe": fix.is_safe, "lets_in": fix.lets_in, "edits": edits })
}

fn edit_json(edit: &Edit) -> Value {
    json!({
        "offset": edit.bytes.start,
        "length": edit.bytes.len(),
        "text": String::from_utf8_lossy(&edit.text),
    })
}

fn table_name(table: TableKind) -> &'static str {
    match table {
        TableKind::Allow => "allow",
        TableKind::Deny => "deny",
    }
}

fn file(document: Option<&Document>) -> String {
    document.map_or_else(String::new, |d| d.path.to_string_lossy().into_owned())
}

fn file_of(policy: &Policy, finding: &Finding) -> String {
    match &finding.other_file {
        Some(path) => path.to_string_lossy().into_owned(),
        None => file(policy.table(finding.table)),
    }
}

/// The text a finding is about.
fn source(policy: &Policy, finding: &Finding, span: &Span) -> String {
    if finding.other_file.is_some() {
        return String::new();
    }
    let text = policy
        .table(finding.table)
        .and_then(|document| document.text.get(span.bytes.clone()));
    String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
}

/// All findings as a SARIF 2.1.0 log of one run.
pub fn sarif(policies: &[(Policy, Vec<Finding>)]) -> Value {
    let codes: Vec<&Code> = code::all().to_vec();
    let rules: Vec<Value> = codes.iter().map(|code| rule_sarif(code)).collect();
    let results: Vec<Value> = each(policies)
        .map(|(policy, finding)| {
            let index = codes.iter().position(|code| *code == finding.code);
            result_sarif(policy, finding, index.unwrap_or_default())
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tcpwrap",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "utf16CodeUnits",
            "results": results,
        }],
    })
}

fn rule_sarif(code: &Code) -> Value {
    json!({
        "id": code.id,
        "name": code.name,
        "shortDescription": { "text": first_sentence(code.meaning) },
        "fullDescription": { "text": code.meaning },
        "help": { "text": code.remedy },
        "defaultConfiguration": { "level": level_sarif(code.level) },
    })
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").map_or(text, |end| &text[..=end])
}

fn level_sarif(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "note",
    }
}

fn result_sarif(policy: &Policy, finding: &Finding, index: usize) -> Value {
    let document = policy
        .table(finding.table)
        .filter(|_| finding.other_file.is_none());
    let name = file_of(policy, finding);
    let related: Vec<Value> = finding
        .related
        .iter()
        .map(|related| {
            let document = policy.table(related.table);
            json!({
                "physicalLocation": location(&file(document), document, &related.span),
                "message": { "text": related.text },
            })
        })
        .collect();
    let mut result = json!({
        "ruleId": finding.code.id,
        "ruleIndex": index,
        "level": level_sarif(finding.level),
        "message": { "text": finding.message },
        "locations": [{ "physicalLocation": location(&name, document, &finding.span) }],
    });
    if !related.is_empty() {
        result["relatedLocations"] = related.into();
    }
    if let Some(fix) = &finding.fix {
        let replacements: Vec<Value> = fix
            .edits
            .iter()
            .map(|edit| {
                json!({
                    "deletedRegion": {
                        "byteOffset": edit.bytes.start,
                        "byteLength": edit.bytes.len(),
                    },
                    "insertedContent": { "text": String::from_utf8_lossy(&edit.text) },
                })
            })
            .collect();
        result["fixes"] = json!([{
            "description": { "text": fix.title },
            "artifactChanges": [{
                "artifactLocation": { "uri": uri(&name) },
                "replacements": replacements,
            }],
        }]);
    }
    result
}

fn location(name: &str, document: Option<&Document>, span: &Span) -> Value {
    let first = document.map(|d| line_start(&d.text, span.bytes.start));
    let column = match (document, first) {
        (Some(document), Some(start)) => utf16(&document.text[start..span.bytes.start]) + 1,
        _ => span.column as usize,
    };
    let mut region = json!({
        "startLine": span.line,
        "startColumn": column,
        "byteOffset": span.bytes.start,
        "byteLength": span.bytes.len(),
    });
    if let Some(document) = document {
        let end = span.bytes.end.min(document.text.len());
        let inside = &document.text[span.bytes.start..end];
        let inside = inside.strip_suffix(b"\n").unwrap_or(inside);
        let lines = inside.iter().filter(|b| **b == b'\n').count();
        let end = span.bytes.start + inside.len();
        let start = line_start(&document.text, end);
        region["endLine"] = (span.line as usize + lines).into();
        region["endColumn"] = (utf16(&document.text[start..end]) + 1).into();
    }
    json!({ "artifactLocation": { "uri": uri(name) }, "region": region })
}

fn line_start(text: &[u8], at: usize) -> usize {
    text[..at]
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1)
}

fn utf16(text: &[u8]) -> usize {
    String::from_utf8_lossy(text).encode_utf16().count()
}

/// A file's name as a URI reference: relative names stay relative.
fn uri(name: &str) -> String {
    let mut uri = String::new();
    if name.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}
