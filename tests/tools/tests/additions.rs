//! What the classic tools say of the additions to the language, and of what they cannot know.

use tools_tests::{Host, Whose};

#[test]
fn tcpdmatch_and_tcpdchk_say_what_they_cannot_know() {
    support::alone(|machine| {
        let host = Host::on(machine);
        let ask = |rules: &[u8], client: &str| {
            let directory = host.tables("additions", Some(rules), Some(b"ALL: ALL\n"));
            let output = host.run(&directory, Whose::Ours, "tcpdmatch", &["-d", "sshd", client]);
            let text = [&output.stdout[..], &output.stderr].concat();
            String::from_utf8_lossy(&text).into_owned()
        };
        // There is no database here.
        let text = ask(b"sshd: {country=DE}\n", "192.0.2.1");
        assert!(
            text.contains("passed over, since it is not known whether the client matches"),
            "{text}"
        );
        assert!(
            text.contains("no database of countries") && text.contains("access:   denied\n"),
            "{text}"
        );
        // Nothing is counted, and what that means is said.
        let text = ask(b"sshd: ALL : limit 1/day : max 1\n", "192.0.2.1");
        assert!(
            text.contains("limit is not asked here: whoever is over it is denied"),
            "{text}"
        );
        assert!(
            text.contains("max is not asked here: whoever is over it is denied"),
            "{text}"
        );
        assert!(text.contains("access:   granted\n"), "{text}");
        let again = ask(b"sshd: ALL : limit 1/day : max 1\n", "192.0.2.1");
        assert_eq!(text, again, "it took none of it");
        // What is known is used.
        assert!(ask(b"sshd: {samehost}\n", "127.0.0.1").contains("access:   granted\n"));
        assert!(ask(b"sshd: {banned} : deny\nsshd: ALL\n", "192.0.2.1").contains("access:   granted\n"));
        // Mistakes are found in the tables, whoever asks.
        let directory = host.tables(
            "mistakes",
            Some(b"sshd: {country=DEU}\nsshd: ALL : ban 1h\n"),
            None,
        );
        let output = host.run(&directory, Whose::Ours, "tcpdchk", &["-d"]);
        let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert!(
            text.contains("\"DEU\" is not a country by its two letters"),
            "{text}"
        );
    });
}
