//! Daemon patterns (hosts_access(5), DAEMON PATTERNS).

use compat_tests::Case;
use compat_tests::alike::one;

use super::served;

/// Which of these daemon lists match?
#[track_caller]
fn matching<'l>(lists: &[&'l str], like: &Case) -> Vec<&'l str> {
    served(lists, |list| Case {
        allow: Some(format!("{list}: ALL\n").into_bytes()),
        deny: Some(b"ALL: ALL\n".to_vec()),
        ..like.clone()
    })
}

#[test]
fn a_daemon_is_a_string_pattern() {
    let matched = [
        "sshd", "SSHD", "ALL", "KNOWN", "ss*", "s??d", "ss.", ".hd", "in.sshd", "LOCAL", "ssh",
    ];
    assert_eq!(
        matching(&matched, &Case::default()),
        ["sshd", "SSHD", "ALL", "KNOWN", "ss*", "s??d"]
    );
    let dotted = Case {
        daemon: "in.ftpd".into(),
        ..Case::default()
    };
    assert_eq!(
        matching(&["in.", ".ftpd", "in.ftpd", "ftpd"], &dotted),
        ["in.", ".ftpd", "in.ftpd"]
    );
}

#[test]
fn a_number_is_a_port() {
    let lists = [
        "22",
        "022",
        "+22",
        "0000022",
        "21",
        "22x",
        "0x16",
        "22.0",
        "-22",
        "65536",
        "4294967318",
    ];
    assert_eq!(matching(&["\u{b}22", "22\u{b}"], &Case::default()), ["\u{b}22"]);
    let expected = ["22", "022", "+22", "0000022", "4294967318"];
    assert_eq!(matching(&lists, &Case::default()), expected);
}

#[test]
fn a_negative_number_may_wrap_to_a_port() {
    assert_eq!(
        matching(&["-4294967274", "-65514"], &Case::default()),
        ["-4294967274"]
    );
}

#[test]
fn a_number_beyond_a_port_is_a_name() {
    let case = Case {
        daemon: "65536".into(),
        ..Case::default()
    };
    assert_eq!(matching(&["65536"], &case), ["65536"]);
}

#[test]
fn a_port_is_not_compared_with_the_name() {
    let case = Case {
        daemon: "80".into(),
        ..Case::default()
    };
    assert_eq!(matching(&["80", "22"], &case), ["22"]);
}

#[test]
fn port_zero_matches_port_zero() {
    let case = Case {
        server_port: Some(0),
        ..Case::default()
    };
    assert_eq!(matching(&["0", "22", "00"], &case), ["0", "00"]);
}

#[test]
fn a_port_matches_only_where_the_servers_port_is_known() {
    let case = Case {
        server_port: None,
        ..Case::default()
    };
    assert_eq!(matching(&["22", "0", "ALL EXCEPT 22"], &case), ["ALL EXCEPT 22"]);
}

#[test]
fn the_server_endpoint_stands_after_the_at_sign() {
    let lists = [
        "sshd@198.51.100.1",
        "sshd@198.51.100.",
        "sshd@198.51.100.0/24",
        "sshd@server.example.org",
        "sshd@.example.org",
        "sshd@KNOWN",
        "ALL@ALL",
        "22@198.51.100.1",
        "sshd@198.51.100.2",
        "vsftpd@198.51.100.1",
        "sshd@LOCAL",
        "21@198.51.100.1",
    ];
    assert_eq!(matching(&lists, &Case::default()), &lists[..8]);
}

#[test]
fn the_endpoint_is_tried_only_where_the_daemon_matches() {
    let case = |list: &str| Case {
        expand: Vec::new(),
        ..Case::new(format!("{list}: ALL\n"), "")
    };
    assert_eq!(one(case("vsftpd@server.example.org")).lookups(), [""; 0]);
    assert_eq!(one(case("sshd@server.example.org")).lookups(), ["server name"]);
    assert_eq!(one(case("sshd@198.51.100.1")).lookups(), [""; 0]);
}

#[test]
fn the_split_is_at_the_first_at_sign_after_the_first_character() {
    let case = Case {
        daemon: "@sshd".into(),
        ..Case::default()
    };
    assert_eq!(
        matching(&["@sshd", "@sshd@198.51.100.1", "@sshd@x"], &case),
        ["@sshd", "@sshd@198.51.100.1"]
    );
    assert_eq!(
        matching(&["sshd@ALL@ALL", "sshd@@group"], &Case::default()),
        [""; 0]
    );
}

#[test]
fn an_empty_endpoint_matches_nothing() {
    assert_eq!(matching(&["sshd@"], &Case::default()), [""; 0]);
}

#[test]
fn an_at_sign_in_brackets_does_not_split() {
    let case = Case {
        daemon: "a[@]b".into(),
        ..Case::default()
    };
    assert_eq!(
        matching(&["a[@]b", "a[@]b@198.51.100.1"], &case),
        ["a[@]b", "a[@]b@198.51.100.1"]
    );
}

#[test]
fn an_unknown_endpoint_is_the_string_unknown() {
    let case = Case {
        server_address: "unknown".into(),
        server_name: "unknown".into(),
        server_port: None,
        ..Case::default()
    };
    assert_eq!(
        matching(&["sshd@UNKNOWN", "sshd@KNOWN", "sshd@ALL"], &case),
        ["sshd@UNKNOWN", "sshd@ALL"]
    );
}

#[test]
fn an_ipv6_endpoint_stands_in_brackets() {
    let case = Case {
        server_address: "2001:db8::9".into(),
        ..Case::default()
    };
    let lists = ["sshd@[2001:db8::9]", "sshd@[2001:db8::]/32", "sshd@[2001:db8::8]"];
    assert_eq!(matching(&lists, &case), &lists[..2]);
}
