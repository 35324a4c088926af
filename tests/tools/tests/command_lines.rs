//! What tcpdchk and tcpdmatch say of what they are asked.

use tools_tests::{Host, said};

#[test]
fn tcpdmatch_warns_of_what_it_is_asked() {
    let cases: [(&str, &[&str], i32); 8] = [
        ("", &["sshd", "eight"], 0),
        ("one: an alias", &["sshd", "one"], 0),
        ("one: an alias", &["sshd@one", "eight"], 0),
        ("nowhere.example: no such host", &["sshd", "nowhere.example"], 1),
        (
            "multi.example.com: has several addresses",
            &["sshd@multi.example.com", "eight"],
            1,
        ),
        ("going on with sshd", &["/usr/local/sbin/sshd", "eight"], 0),
        ("nosuchd: no such daemon", &["nosuchd", "eight"], 0),
        ("in.talkd: not wrapped", &["in.talkd", "eight"], 0),
    ];
    support::alone(|machine| {
        let host = Host::on(machine);
        for (says, asked, status) in cases {
            let output = host.ours("tcpdmatch", asked);
            let said = said(&output);
            assert!(
                said.contains(says) && said.is_empty() == says.is_empty(),
                "{asked:?}: {said}"
            );
            assert_eq!(output.status.code(), Some(status), "{asked:?}");
        }
    });
}

#[test]
fn command_lines() {
    let wrong: [(&str, &[&str]); 4] = [
        ("tcpdchk", &["-x"]),
        ("tcpdchk", &["table"]),
        ("tcpdmatch", &["sshd"]),
        ("tcpdmatch", &["a", "b", "c"]),
    ];
    support::alone(|machine| {
        let host = Host::on(machine);
        for (program, arguments) in wrong {
            let output = host.ours(program, arguments);
            assert!(said(&output).contains(&format!("usage: {program}")));
            assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0));
        }
        for program in ["tcpdchk", "tcpdmatch"] {
            for flag in ["-h", "--help", "--version"] {
                let output = host.ours(program, &[flag]);
                assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
                assert!(!output.stdout.is_empty());
            }
        }
    });
}
