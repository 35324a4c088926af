//! tcpdmatch(8): predicts what would become of one request.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;

use hosts_access::dry::DryHost;
use hosts_access::host::expand;
use hosts_access::{PARANOID, Reason, Request, Side, Tables, UNKNOWN, Verdict};
use system::services::base_name;
use system::{names, netdb};

use crate::arguments::Instead;
use crate::configuration;
use crate::dry_run::DryRun;
use crate::hosts;
use crate::report::Report;

const USAGE: &str = "\
usage: tcpdmatch [-d] [-i inet_conf] daemon[@host] [user@]host
	-d: use allow/deny files in current directory
	-i: location of inetd.conf file
";

/// What the command line asks.
#[derive(Debug)]
struct Question {
    here: bool,
    inetd_conf: Option<PathBuf>,
    daemon: Vec<u8>,
    server: Option<Vec<u8>>,
    user: Option<Vec<u8>>,
    client: Vec<u8>,
}

/// The program. Exits with 0 where it could answer, and with 1 where it could not.
pub fn main() -> ExitCode {
    match question(lexopt::Parser::from_env()) {
        Ok(question) => {
            let mut report = Report::default();
            let status = answer(&question, &mut report);
            report.finish(status)
        }
        Err(instead) => instead.answer("tcpdmatch", USAGE),
    }
}

fn question(mut parser: lexopt::Parser) -> Result<Question, Instead> {
    use lexopt::prelude::*;
    let (mut here, mut inetd_conf, mut rest) = (false, None, Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('d') => here = true,
            Short('i') => inetd_conf = Some(PathBuf::from(parser.value()?)),
            Short('h') | Long("help") => return Err(Instead::Help),
            Long("version") => return Err(Instead::Version),
            Value(value) => rest.push(OsString::into_vec(value)),
            _ => return Err(argument.unexpected().into()),
        }
    }
    let Ok([server, client]) = <[_; 2]>::try_from(rest) else {
        return Err(Instead::Wrong("a daemon and a client are needed".to_owned()));
    };
    let (daemon, server) = split_at_sign(server);
    let (client, user) = match split_at_sign(client) {
        (user, Some(client)) => (client, Some(user)),
        (client, None) => (client, None),
    };
    Ok(Question {
        here,
        inetd_conf,
        daemon,
        server,
        user: user.filter(|user| !user.is_empty()),
        client,
    })
}

/// What stands before the first `@`, and what after it.
fn split_at_sign(mut text: Vec<u8>) -> (Vec<u8>, Option<Vec<u8>>) {
    match text.iter().position(|byte| *byte == b'@') {
        Some(at) => {
            let rest = text.split_off(at + 1);
            text.truncate(at);
            (text, Some(rest))
        }
        None => (text, None),
    }
}

/// One end of the connection, as far as it is supposed known.
#[derive(Debug, Clone)]
struct End {
    address: Vec<u8>,
    name: Vec<u8>,
}

/// Answers the question.
fn answer(question: &Question, report: &mut Report) -> ExitCode {
    let machine = match configuration::machine(question.inetd_conf.as_deref()) {
        Ok(machine) => machine,
        Err(problem) => {
            report.warn(problem);
            return ExitCode::FAILURE;
        }
    };
    for problem in machine.problems() {
        report.diagnostic(problem);
    }
    let daemon = base_name(&question.daemon);
    if daemon.len() < question.daemon.len() {
        let text = b": rules name a daemon by the last component of its path; going on with ";
        report.warn([&question.daemon[..], text, daemon].concat());
    }
    if let Some(problem) = configuration::daemon_problem(daemon, &machine) {
        report.warn(problem);
    }
    let server = match &question.server {
        None => End {
            address: UNKNOWN.to_vec(),
            name: UNKNOWN.to_vec(),
        },
        Some(name) => match <[End; 1]>::try_from(server_ends(name, report)) {
            Ok([server]) => server,
            Err(servers) => {
                if !servers.is_empty() {
                    report.warn([name, &b": has several addresses; give the one that is meant"[..]].concat());
                }
                return ExitCode::FAILURE;
            }
        },
    };
    let clients = client_ends(&question.client, report);
    if clients.is_empty() {
        return ExitCode::FAILURE;
    }
    let tables = configuration::tables(question.here);
    let user = question.user.as_deref().unwrap_or(UNKNOWN);
    for (count, client) in clients.iter().enumerate() {
        if count > 0 {
            report.line("");
        }
        predict(&tables, daemon, [client, &server], user, report);
    }
    ExitCode::SUCCESS
}

/// `unknown` and `paranoid`, which stand for an end whose name is just that.
fn wildcard(host: &[u8]) -> Option<End> {
    let stands = host.eq_ignore_ascii_case(UNKNOWN) || host.eq_ignore_ascii_case(PARANOID);
    stands.then(|| End {
        address: UNKNOWN.to_vec(),
        name: host.to_vec(),
    })
}

/// The server's ends: one for each address.
fn server_ends(host: &[u8], report: &mut Report) -> Vec<End> {
    match wildcard(host) {
        Some(end) => vec![end],
        None => looked_up(host, report),
    }
}

/// The client's ends: one for each address. An address stands for a client that has no name.
fn client_ends(host: &[u8], report: &mut Report) -> Vec<End> {
    match wildcard(host) {
        Some(end) => vec![end],
        None if hosts::is_address(host) => vec![End {
            address: host.to_vec(),
            name: UNKNOWN.to_vec(),
        }],
        None => looked_up(host, report),
    }
}

fn looked_up(host: &[u8], report: &mut Report) -> Vec<End> {
    let Ok(found) = hosts::find(host, &mut |problem| report.warn(problem)) else {
        report.warn(hosts::no_answer(host));
        return Vec::new();
    };
    let names = hosts::check_names(host, &found.addresses, &mut |problem| report.warn(problem));
    if names.is_err() {
        report.warn(hosts::no_answer(host));
    }
    let ends = found.addresses.iter().map(|address| End {
        address: netdb::numeric(address),
        name: names::verified_name(address, &mut |doubt| report.warn(doubt)),
    });
    ends.collect()
}

/// Prints one prediction.
fn predict(tables: &Tables, daemon: &[u8], ends: [&End; 2], user: &[u8], report: &mut Report) {
    let [client, server] = ends;
    let facts = [
        (&client.name[..], "client:   hostname %n"),
        (&client.address, "client:   address  %a"),
        (user, "client:   username %u"),
        (&server.name, "server:   hostname %N"),
        (&server.address, "server:   address  %A"),
    ];
    let mut nobody = DryHost::new(UNKNOWN);
    let mut known = request(daemon, ends, user);
    let mut shown = |text: &[u8]| expand(text, &mut known, &mut nobody);
    for (fact, line) in facts {
        if !fact.eq_ignore_ascii_case(UNKNOWN) {
            report.line(shown(line.as_bytes()));
        }
    }
    report.line(shown(b"server:   process  %d"));
    let mut host = DryRun::new(report);
    host.twist_delegates = true;
    let decision = tables.decide(&mut request(daemon, ends, user).verbose(2), &mut host);
    // A command that decides is not run, unless an error in its rule has decided already.
    let open = host.command_decides && decision.reason != Reason::OptionError;
    let verdict = if open {
        Verdict::Delegated
    } else {
        decision.verdict
    };
    report.line(match verdict {
        Verdict::Granted => "access:   granted",
        Verdict::Denied => "access:   denied",
        Verdict::Delegated => "access:   delegated",
    });
}

fn request(daemon: &[u8], ends: [&End; 2], user: &[u8]) -> Request {
    let [client, server] = ends;
    Request::new(daemon)
        .known_address(Side::Client, &client.address[..])
        .known_name(Side::Client, &client.name[..])
        .known_address(Side::Server, &server.address[..])
        .known_name(Side::Server, &server.name[..])
        .known_user(user)
}
