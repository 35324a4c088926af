//! Every code against its examples.

use super::*;
use crate::document::Document;

fn documents(example: Example) -> (Document, Document) {
    (
        Document::new("hosts.allow", example.allow),
        Document::new("hosts.deny", example.deny),
    )
}

fn findings(example: Example) -> Vec<Finding> {
    let (allow, deny) = documents(example);
    let options = Options { implicit_allow: true };
    check_with(
        Tables {
            allow: Some(&allow),
            deny: Some(&deny),
        },
        options,
    )
}

fn all_codes() -> impl Iterator<Item = &'static Code> {
    code::ALL.iter().flat_map(|group| group.iter()).copied()
}

#[test]
fn every_bad_example_raises_its_code_and_no_good_one_does() {
    for code in all_codes().filter(|code| !code.needs_host) {
        let bad = findings(code.bad);
        let hit = bad.iter().find(|f| f.code == code);
        assert!(hit.is_some(), "{} not raised by its example: {bad:#?}", code.id);
        let good = findings(code.good);
        assert!(
            good.iter().all(|f| f.code != code),
            "{} raised by {:?}",
            code.id,
            code.good
        );
    }
}

#[test]
fn good_examples_raise_nothing_at_all() {
    for code in all_codes() {
        let (allow, deny) = documents(code.good);
        let tables = Tables {
            allow: Some(&allow),
            deny: Some(&deny),
        };
        let loud: Vec<_> = check(tables)
            .into_iter()
            .filter(|f| f.level >= Level::Warning)
            .collect();
        assert!(loud.is_empty(), "{}: {loud:#?}", code.id);
    }
}

#[test]
fn codes_are_in_order_and_names_are_unique() {
    let ids: Vec<_> = all_codes().map(|c| c.id).collect();
    assert!(ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let mut names: Vec<_> = all_codes().map(|c| c.name).collect();
    names.sort_unstable();
    let count = names.len();
    names.dedup();
    assert_eq!(count, names.len());
}

#[test]
fn safe_fixes_leave_nothing_of_their_kind() {
    for code in all_codes().filter(|code| !code.needs_host) {
        let (allow, deny) = documents(code.bad);
        let found = findings(code.bad);
        let fixes = |table| {
            found
                .iter()
                .filter(move |f| f.table == table && f.code == code)
                .filter_map(|f| f.fix.as_ref())
        };
        let (allow, a) = apply(&allow.text, fixes(TableKind::Allow));
        let (deny, d) = apply(&deny.text, fixes(TableKind::Deny));
        if a + d == 0 {
            continue;
        }
        let (allow, deny) = (Document::new("a", allow), Document::new("d", deny));
        let tables = Tables {
            allow: Some(&allow),
            deny: Some(&deny),
        };
        let left = check_with(tables, Options { implicit_allow: true });
        assert!(
            left.iter().all(|f| f.code != code),
            "{} after its fix: {:?}",
            code.id,
            String::from_utf8_lossy(&allow.text)
        );
    }
}

#[test]
fn what_other_programs_wrote_is_not_mended_unasked() {
    let deny =
        "#---- BlockHosts Additions\nALL: 2001:db8::1 : deny\n#---- BlockHosts Additions\nALL: ::1 : deny\n";
    let deny = Document::new("hosts.deny", deny);
    let tables = Tables {
        allow: None,
        deny: Some(&deny),
    };
    let safe: Vec<_> = check(tables)
        .into_iter()
        .filter(|f| f.code.id == "W201")
        .map(|f| (f.span.line, f.fix.is_some_and(|fix| fix.is_safe)))
        .collect();
    assert_eq!(safe, [(2, false), (4, true)]);
}
