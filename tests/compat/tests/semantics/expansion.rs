//! % expansion (hosts_access(5), EXPANSIONS).

use compat_tests::Case;
use compat_tests::alike::{Answer, one};

/// What a text expands to after a decision that looked nothing up.
#[track_caller]
fn expanded(text: &str, like: Case) -> String {
    one(Case {
        expand: text.into(),
        ..like
    })
    .expanded()
    .to_owned()
}

#[track_caller]
fn after(clients: &str, text: &str) -> Answer {
    one(Case {
        expand: text.into(),
        ..Case::new(format!("sshd: {clients}\n"), "")
    })
}

fn unknown_server() -> Case {
    Case {
        server_address: "unknown".into(),
        server_name: "unknown".into(),
        server_port: None,
        ..Case::default()
    }
}

#[test]
fn addresses() {
    assert_eq!(expanded("%a %A", Case::default()), "192.0.2.1 198.51.100.1");
    assert_eq!(
        expanded("%a", Case::default().client("2001:db8::1", "x")),
        "2001:db8::1"
    );
    assert_eq!(expanded("%a", Case::default().client("unknown", "x")), "unknown");
}

#[test]
fn a_scope_id_is_made_safe_only_where_it_must_be() {
    assert_eq!(
        expanded("%a", Case::default().client("fe80::1%lo", "x")),
        "fe80::1%lo"
    );
}

#[test]
fn ports() {
    assert_eq!(expanded("%r %R", Case::default()), "1042 22");
    assert_eq!(
        expanded(
            "%r %R",
            Case {
                server_port: None,
                ..Case::default()
            }
        ),
        "0 0"
    );
}

#[test]
fn names_are_looked_up() {
    let answer = after("192.0.2.1", "%n %N");
    assert_eq!(answer.expanded(), "host.example.org server.example.org");
    assert_eq!(answer.lookups(), ["client name", "server name"]);
    for name in ["unknown", "paranoid"] {
        assert_eq!(expanded("%n", Case::default().client("192.0.2.1", name)), name);
    }
}

#[test]
fn host_client_and_server_look_nothing_up() {
    let answer = after("192.0.2.1", "%h %H %c %s");
    assert_eq!(
        answer.expanded(),
        "192.0.2.1 198.51.100.1 192.0.2.1 sshd@198.51.100.1"
    );
    assert_eq!(answer.lookups(), [""; 0]);
}

#[test]
fn host_client_and_server_show_names_looked_up_before() {
    let answer = after("host.example.org", "%h %c");
    assert_eq!(answer.expanded(), "host.example.org host.example.org");
    assert_eq!(
        expanded("%N %H %s", Case::default()),
        "server.example.org server.example.org sshd@server.example.org"
    );
    assert_eq!(
        expanded("%n %h", Case::default()),
        "host.example.org host.example.org"
    );
}

#[test]
fn unknown_and_paranoid_names_are_not_shown_as_hosts() {
    for name in ["unknown", "paranoid"] {
        assert_eq!(
            expanded("%n %h %c", Case::default().client("192.0.2.1", name)),
            format!("{name} 192.0.2.1 192.0.2.1")
        );
    }
}

#[test]
fn the_client_has_its_user_where_that_was_looked_up() {
    assert_eq!(after("u1@192.0.2.1", "%c").expanded(), "u1@192.0.2.1");
    assert_eq!(
        after("u1@host.example.org", "%c").expanded(),
        "u1@host.example.org"
    );
    assert_eq!(
        expanded(
            "%u %c",
            Case {
                user: "unknown".into(),
                ..Case::default()
            }
        ),
        "unknown 192.0.2.1"
    );
}

#[test]
fn the_user_is_looked_up() {
    let answer = after("192.0.2.1", "%u");
    assert_eq!(answer.expanded(), "u1");
    assert_eq!(answer.lookups(), ["user"]);
}

#[test]
fn a_client_of_which_nothing_is_known_is_unknown() {
    assert_eq!(
        expanded("%c %h %a", Case::default().client("unknown", "unknown")),
        "unknown unknown unknown"
    );
}

#[test]
fn a_server_of_which_nothing_is_known_is_the_daemon() {
    assert_eq!(expanded("%s", unknown_server()), "sshd");
}

#[test]
fn daemon_process_and_percent() {
    assert_eq!(expanded("%d %p %% %%d", Case::default()), "sshd 4711 % %d");
}

#[test]
fn another_letter_is_logged_and_gives_nothing() {
    let answer = one(Case {
        expand: b"a%zb".to_vec(),
        ..Case::default()
    });
    assert_eq!(answer.expanded(), "ab");
    assert_eq!(answer.problems(), ["warning: unrecognized %z"]);
}

#[test]
fn another_letter_in_an_option_is_logged_with_the_rule() {
    let answer = one(Case::new("sshd: ALL: spawn a%zb\n", ""));
    assert_eq!(answer.all("spawn"), ["ab"]);
    assert_eq!(
        answer.problems(),
        ["warning: DIR/hosts.allow, line 1: unrecognized %z"]
    );
}

#[test]
fn a_lone_percent_sign_at_the_end_stays() {
    assert_eq!(expanded("50%", Case::default()), "50%");
    assert_eq!(expanded("%", Case::default()), "%");
    assert_eq!(expanded("%%%", Case::default()), "%%");
}

#[test]
fn letters_are_case_sensitive() {
    for letter in ["C", "D", "P", "S", "U", " ", "1"] {
        let answer = one(Case {
            expand: format!("x%{letter}y").into_bytes(),
            ..Case::default()
        });
        assert_eq!(
            (answer.expanded(), answer.problems().len()),
            ("xy", 1),
            "{letter}"
        );
    }
}

#[test]
fn what_a_shell_could_take_for_itself_becomes_an_underscore() {
    let hostile = "a;b`c$d'e\"f|g&h(i)j<k>l*m?n[o]p{q}r\\s~t#u^v w\tx\ny";
    let user = |user: &str| Case {
        user: user.into(),
        ..Case::default()
    };
    assert_eq!(
        expanded("%u", user(hostile)),
        "a_b_c_d_e_f_g_h_i_j_k_l_m_n_o_p_q_r_s_t_u_v_w_x_y"
    );
    let harmless = "azAZ09!@%-_=+:,./";
    assert_eq!(expanded("%u", user(harmless)), harmless);
    assert_eq!(expanded("%u", user("\u{e9}\u{7f}")), "___");
}

#[test]
fn names_and_daemons_are_made_safe_too() {
    assert_eq!(
        expanded("%n", Case::default().client("192.0.2.1", "$(reboot)")),
        "__reboot_"
    );
    let case = Case {
        daemon: "a;b".into(),
        ..Case::default()
    };
    assert_eq!(expanded("%d %s", case), "a_b a_b@198.51.100.1");
}

#[test]
fn literal_text_is_never_changed() {
    assert_eq!(
        expanded("echo `x` $y; (z) > %a", Case::default()),
        "echo `x` $y; (z) > 192.0.2.1"
    );
}

#[test]
fn expanded_text_is_not_expanded_again() {
    assert_eq!(
        expanded(
            "%u",
            Case {
                user: "%a%%".into(),
                ..Case::default()
            }
        ),
        "%a%%"
    );
}
