//! Advice is part of the product: each edit that is offered is made, and what the tables then decide is computed.
//! Nobody is let in who was not, unless the words of the advice say so.

mod random;

use analysis::check::{self, Finding, Fix, apply, code};
use analysis::compare::{Comparison, Outcome, compare};
use analysis::document::{Document, Documents};
use hosts_access::{TableKind, Verdict};
use random::Random;

type Policy = [Document; 2];

fn policy(allow: impl Into<Vec<u8>>, deny: impl Into<Vec<u8>>) -> Policy {
    [
        Document::new("hosts.allow", allow),
        Document::new("hosts.deny", deny),
    ]
}

/// The policy with one edit made.
fn mended(policy: &Policy, table: TableKind, fix: &Fix) -> Policy {
    let mut mended = policy.clone();
    let document = &mut mended[table as usize];
    let (text, made) = apply(&document.text, [fix]);
    assert_eq!(made, 1, "{fix:?}");
    *document = Document::new(document.path.to_path_buf(), text);
    mended
}

fn shown(policy: &Policy) -> String {
    let text = |document: &Document| String::from_utf8_lossy(&document.text).into_owned();
    format!("{:?} {:?}", text(&policy[0]), text(&policy[1]))
}

/// Does what becomes of a request let it in where it was not?
fn opens(old: &Outcome, new: &Outcome) -> bool {
    let rank = |outcome: &Outcome, step: usize| match outcome
        .steps
        .get(step)
        .or(outcome.steps.last())
        .unwrap()
        .verdict
    {
        Verdict::Denied => 0,
        Verdict::Delegated => 1,
        Verdict::Granted => 2,
    };
    (0..old.steps.len().max(new.steps.len())).any(|step| rank(new, step) > rank(old, step))
}

/// Makes the edit of a finding and holds what it says against what it does.
fn hold(policy: &Policy, finding: &Finding) -> Option<(Policy, Comparison)> {
    let fix = finding.fix.as_ref()?;
    let new = mended(policy, finding.table, fix);
    let Ok(found) = compare(Documents::both(policy), Documents::both(&new)) else {
        return None;
    };
    let opens = found.differences.iter().any(|d| opens(&d.old, &d.new));
    let says_so = fix.title.contains("let in ") || fix.title.contains("lets in");
    assert_eq!(fix.lets_in, says_so, "{fix:?}");
    assert!(
        !opens || says_so,
        "{} lets in, and does not say so: {} becomes {}: {:#?}",
        finding.code.id,
        shown(policy),
        shown(&new),
        found.differences,
    );
    // Where it is said whom, somebody is.
    if fix.title.contains("which lets in") {
        assert!(
            opens,
            "{}: {}: {} becomes {}",
            finding.code.id,
            fix.title,
            shown(policy),
            shown(&new)
        );
    }
    Some((new, found))
}

fn loud(policy: &Policy) -> Vec<Finding> {
    let mut found = check::check(Documents::both(policy));
    found.retain(|finding| finding.level >= check::Level::Warning);
    found
}

/// Edits after which every request ends as before: nothing but the text was wrong.
const CHANGE_NOTHING: &[&str] = &["W003", "W025", "W210", "W402"];

#[test]
fn every_suggestion_does_what_its_words_say_and_no_more() {
    let mut held = 0;
    for code in code::all().iter().filter(|code| !code.needs_host) {
        let policy = policy(code.bad.allow, code.bad.deny);
        let options = check::Options {
            implicit_allow: true,
            portable: true,
            today: Some(20_783),
            ..Default::default()
        };
        let found = check::check_with(Documents::both(&policy), options);
        for finding in found.iter().filter(|f| f.code == *code) {
            let Some((new, compared)) = hold(&policy, finding) else {
                continue;
            };
            held += 1;
            // Silent afterwards, with no other mistake in its place.
            let left = loud(&new);
            let known: Vec<_> = found.iter().map(|f| f.code.id).collect();
            assert!(
                left.iter().all(|f| f.code != *code && known.contains(&f.code.id)),
                "{} after its edit: {} {left:#?}",
                code.id,
                shown(&new)
            );
            // Silent since the rule now works, not since it is misread in another way.
            let changes = !compared.differences.is_empty();
            if finding.level == check::Level::Error {
                assert_eq!(
                    changes,
                    !CHANGE_NOTHING.contains(&code.id),
                    "{}: {}",
                    code.id,
                    shown(&new)
                );
            }
        }
    }
    assert!(held > 30, "{held}");
}

/// What is ambiguous has no edit, or none that is made unasked.
#[test]
fn what_is_ambiguous_is_left_to_a_person() {
    for (allow, code) in [
        ("2001:db8::5\n", "W201"),
        ("22:db8::5\n", "W201"),
        ("sshd: 198.51.100.0/0.0.0.255\n", "W205"),
        ("sshd: 10.1.2.3/255.0.255.0\n", "W205"),
        ("sshd: 10.0.0.1;ALL\n", "W106"),
        ("sshd: !10.0.0.1\n", "W105"),
        ("sshd: deny\n", "W109"),
        ("sshd: 192.0.2.1 DENY\n", "W109"),
        ("sshd: 10.0.0.1, \\ \n 10.0.0.2\n", "W026"),
    ] {
        let policy = policy(allow, "ALL: ALL\n");
        let found = loud(&policy);
        let codes: Vec<_> = found.iter().map(|f| f.code.id).collect();
        assert_eq!(codes, [code], "{allow:?}: {found:#?}");
        assert!(found[0].fix.as_ref().is_none_or(|fix| !fix.is_safe), "{allow:?}");
    }
    let meant = |allow: &str| {
        let policy = policy(allow, "ALL: ALL\n");
        let found = loud(&policy);
        let fix = found[0].fix.as_ref().unwrap();
        String::from_utf8(mended(&policy, TableKind::Allow, fix)[0].text.clone()).unwrap()
    };
    assert_eq!(meant("sshd: 198.51.100.0/0.0.0.255\n"), "sshd: 198.51.100.0/24\n");
    assert_eq!(meant("sshd: 198.51.100.7/0.0.0.255\n"), "sshd: 198.51.100.0/24\n");
    assert_eq!(
        meant("sshd: ALL !10.0.0.1 !10.0.0.2\n"),
        "sshd: ALL EXCEPT 10.0.0.1 10.0.0.2\n"
    );
    assert_eq!(
        meant("sshd: 10.0.0.1, \\\n# b\n 10.0.0.2\n"),
        "# b\nsshd: 10.0.0.1, \\\n 10.0.0.2\n"
    );
    assert_eq!(
        meant("sshd: 10.0.0.1, \\\n# b\nvsftpd: 10.0.0.2\n"),
        "sshd: 10.0.0.1, \n# b\nvsftpd: 10.0.0.2\n"
    );
}

const DAEMONS: &[&str] = &[
    "sshd",
    "ALL",
    "ssh",
    "vsftpd.service",
    "22/tcp",
    "sshd vsftpd",
    "# sshd",
    " # sshd",
    "// sshd",
];
const CLIENTS: &[&str] = &[
    "10.0.0.1",
    "ALL",
    "2001:db8::1",
    "10.1.2.3/8",
    "10.0.0.0/0.0.0.255",
    "192.168",
    "192.168.1.0",
    "[2001:db8::/32]",
    "[10.0.0.*]",
    ".example.com.",
    "example.com",
    "host.example.com.",
    "!10.0.0.1",
    "EXPECT",
    "EXCEPT",
    "EXCEPT",
    "LOCAL",
    "10.0.0.1;10.0.0.2",
    "010.0.0.1",
    "10.0.0.1/255.255.255.255",
    "0.0.0.0/0",
    "[::ffff:10.0.0.1]",
    "10.0.0.0 /8",
    "192.168.*",
    "# all",
    "// all",
    "DENY",
    "allow",
    "10.0.0.0/8x",
    "[2001:db8::1]/32",
    "u@10.0.0.1",
    "{county=DE}",
    "{country=UK}",
    "{banned}",
    "{banned=yes}",
    "{country=DE, AT}",
    "{time=Mon 0800-1800}",
    "\\\n",
    "\\ \n",
    "\\\n# x\n",
];
const OPTIONS: &[&str] = &[
    "",
    "",
    "",
    "",
    ": allow",
    ": deny",
    ": alow",
    ":",
    ": allow : severity auth.info",
    ": allow now",
    ": spawn /x/filter %a",
    ": aclexec /x %a &",
    ": aclexec /x : allow",
    ": spawn echo a:b",
    ": 22",
    ": /bin/x",
    ": deny :",
    ": if {country=UK}",
    ": if 10.1.2.3/8",
    ": limit 5/minute",
    ": max 3 : deny",
    ": ban 1d",
    ": severity auth.info : limit 5/minute : if 10.",
];

fn table(random: &mut Random) -> String {
    let mut text = String::new();
    for _ in 0..1 + random.below(3) {
        text.push_str(random.of(DAEMONS));
        text.push_str(random.of(&[":", ":", ":", ":", " : ", " "]));
        for _ in 0..1 + random.below(3) {
            text.push(' ');
            text.push_str(random.of(CLIENTS));
        }
        text.push_str(random.of(OPTIONS));
        text.push_str(random.of(&["\n", "\n", "\n", "\n", "\r\n", " \n"]));
    }
    if random.below(12) == 0 {
        text.pop();
    }
    text
}

/// The words in which the one edit of a table says whom it lets in, if it does.
fn says(allow: &str, deny: &str) -> Option<String> {
    let policy = policy(allow, deny);
    let found = loud(&policy);
    let fixes: Vec<&Finding> = found.iter().filter(|finding| finding.fix.is_some()).collect();
    assert_eq!(fixes.len(), 1, "{allow}: {found:#?}");
    hold(&policy, fixes[0]);
    let title = &fixes[0].fix.as_ref().unwrap().title;
    title.split_once(", which ").map(|(_, says)| says.to_owned())
}

#[test]
fn whom_an_edit_lets_in_is_said() {
    for (allow, expected) in [
        (
            "sshd: {county=DE}\n",
            "lets in any known address where {country=DE} to sshd",
        ),
        (
            "sshd: ALL : if {country=UK} : limit 5/minute\n",
            "may let in any known address where {country=GB} to sshd",
        ),
        ("ALL: 10.1.2.3/8\n", "lets in 10.0.0.0/8 to any daemon"),
        (
            "sshd: {banned} : deny\nsshd: 10.1.2.3/8\n",
            "lets in 10.0.0.0/8 where not {banned} to sshd",
        ),
        (
            "sshd: ALL : severity auth.info : limit 5/minute : if 10.\n",
            "may let in 10.0.0.0/8 to sshd",
        ),
        ("sshd: .example.com.\n", "lets in .example.com to sshd"),
    ] {
        assert_eq!(says(allow, "ALL: ALL\n").as_deref(), Some(expected), "{allow}");
    }
    // Whoever wrote the table has no say in what a terminal does, or in how much it shows.
    let long = format!("ss\u{1b}chd{}: 10. : deny\nALL: 10.1.2.3/8\n", "b".repeat(500));
    let said = says(&long, "ALL: ALL\n").unwrap();
    assert!(
        said.starts_with("lets in 10.0.0.0/8 to ") && said.ends_with('…'),
        "{said:?}"
    );
    assert!(said.contains("ss\\u{1b}chdbbb"), "{said:?}");
    assert!(said.chars().count() < 300, "{said}");
    // It is said where there are more, whichever of them these are.
    let many = "a@192.0.2.1 b@192.0.2.2 c@192.0.2.3 d@192.0.2.4 e@192.0.2.5";
    let said = says(
        &format!("{many}: {{banned}} : deny\nz {many}: 10.1.2.3/8\n"),
        "ALL: ALL\n",
    );
    let said = said.unwrap();
    assert!(said.starts_with("lets in 10.0.0.0/8 to z; and "), "{said}");
    assert!(said.ends_with("; and more"), "{said}");
    // All of them are let in already, or refused all the same.
    assert_eq!(says("sshd: 10.\nsshd: 10.1.2.3/16\n", "ALL: ALL\n"), None);
    assert_eq!(
        says("ALL: {country=DE} : deny\nsshd: {country=DE, DE}\n", "ALL: ALL\n"),
        None
    );
}

#[test]
fn no_edit_of_any_mistake_opens_a_door_in_silence() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut held = std::collections::BTreeMap::new();
    for _ in 0..250 {
        let deny = match random.below(3) {
            0 => "ALL: ALL\n".to_owned(),
            _ => table(&mut random),
        };
        let policy = policy(table(&mut random), deny);
        for finding in check::check(Documents::both(&policy)) {
            if hold(&policy, &finding).is_some() {
                *held.entry(finding.code.id).or_insert(0) += 1;
            }
        }
    }
    assert!(held.len() > 25, "{held:?}");
}
