//! The JSON of every command, against its schema in docs/schema: all that is printed is described there, field by
//! field.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use support::{Machine, program};
use tools_tests::here;

/// Reads the schema, then commands and documents in turn, one a line. No object may have a field that the schema does
/// not name: the schema itself leaves that open, for what will be added.
const VALIDATE: &str = "
import json, sys
from jsonschema import Draft202012Validator
schema = json.load(open(sys.argv[1]))
def close(part):
    if isinstance(part, dict):
        if 'properties' in part:
            part.setdefault('additionalProperties', False)
        part = part.values()
    if not isinstance(part, str) and hasattr(part, '__iter__'):
        for one in part: close(one)
close(schema)
Draft202012Validator.check_schema(schema)
found = []
for line in sys.stdin:
    name, document = line.split('\\t', 1)
    document = json.loads(document)
    command = document['command']
    # One at a time, as what is wrong is told better.
    one = {'$ref': '#/$defs/' + command, '$defs': schema['$defs']}
    problems = list(Draft202012Validator(one).iter_errors(document['result']))
    problems += list(Draft202012Validator(schema).iter_errors(document))
    for problem in problems:
        found.append((name, list(problem.absolute_path), problem.message[:400]))
print(*found[:20], sep='\\n')
print(' '.join(sorted(branch['properties']['command']['const'] for branch in schema['oneOf'])))
";

fn tcpwrap(machine: &Machine, arguments: &[&str]) -> String {
    let mut command = Command::new(program("tcpwrap", "tcpwrap"));
    let done = command
        .args(arguments)
        .current_dir(machine.directory())
        .output()
        .expect("it runs");
    assert!(
        !done.stdout.is_empty(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    String::from_utf8(done.stdout).expect("text")
}

#[test]
fn every_document_is_as_the_schema_has_it() {
    support::alone(|machine| {
        let put = |name: &str, text: &str| fs::write(machine.directory().join(name), text).expect("ours");
        for (directory, allow, deny) in [
            (
                "old",
                "sshd: 10.0.0.0/8 .example.com : severity info : spawn x\nftpd: x@host* : aclexec y\n",
                "ALL: ALL",
            ),
            (
                "new",
                "22, sshd@10.: 10.0.0.0/9 192.0.2.*7 EXCEPT @g\nftpd: LOCAL : twist z\nvsftpd: {country=DE} : if {time=Mon} : limit 5/minute : ban 1h\n",
                "ALL: ALL\n",
            ),
        ] {
            fs::create_dir(machine.directory().join(directory)).expect("ours");
            put(&format!("{directory}/hosts.allow"), allow);
            put(&format!("{directory}/hosts.deny"), deny);
        }
        put(
            "hosts.test.toml",
            "[tables]\nrules = 'new'\n[[test]]\nabout = 'a'\ndaemon = 'sshd'\nclient = '192.0.2.1'\nexpect = 'granted'\n",
        );
        let unit = "[Service]\nExecStart=/bin/true\n";
        fs::create_dir_all("/etc/systemd/system/web.service.d").expect("ours");
        machine.put("/etc/systemd/system/web.service", unit);
        machine.put(
            "/etc/systemd/system/web.service.d/zz-tcpwrap.conf",
            "[Service]\nExecStart=\nExecStart=/usr/bin/tcpwrap run --rules /srv --name=www -- /bin/true\n",
        );
        let examples = here().join("../../examples/mistakes");
        let examples = examples.to_str().expect("text");
        let listener = std::net::TcpListener::bind("127.0.0.1:7000").expect("a listener");
        let commands: [&[&str]; 15] = [
            &["attach", "--list", "--json"],
            &["ban", "--dry-run", "--json", "192.0.2.1"],
            &["unban", "--dry-run", "--json", "192.0.2.1"],
            &["bans", "--json"],
            &["check", "--json", "--level", "info", examples],
            &["check", "--json", "--host", "old", "new"],
            &["compile", "--json", "--rules", "new"],
            &["diff", "--json", "old", "new"],
            &["diff", "--json", "new", "old"],
            &[
                "explain",
                "--json",
                "--trace",
                "--all-rules",
                "--no-dns",
                "--rules",
                "old",
                "sshd@10.1.1.1",
                "bob@10.1.1.1",
            ],
            &["explain", "--json", "--rules", "new", "ftpd", "127.0.0.1"],
            &["lookup", "--json", "127.0.0.1"],
            &["scan", "--json", "--all", "/usr/sbin"],
            &["status", "--json"],
            &["test", "--json"],
        ];
        let schema: PathBuf = here().join("../../docs/schema/tcpwrap.json");
        let mut validate = Command::new("/usr/bin/python3")
            .args(["-c", VALIDATE])
            .arg(schema)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3");
        let mut to = validate.stdin.take().expect("a pipe");
        for command in commands {
            let document: serde_json::Value = serde_json::from_str(&tcpwrap(machine, command))
                .unwrap_or_else(|error| panic!("{command:?}: {error}"));
            assert_eq!(document["version"], 1, "{command:?}");
            writeln!(to, "{}\t{document}", command.join(" ")).expect("a pipe");
        }
        drop(to);
        drop(listener);
        let done = validate.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        // No command that prints JSON is left out of it, nor any of these.
        let help = tcpwrap(machine, &["--help"]);
        let names = help.lines().skip_while(|line| *line != "Commands:").skip(1);
        let names = names.map_while(|line| line.strip_prefix("  ")?.split(' ').next());
        let names: Vec<&str> = names
            .filter(|name| *name != "help" && tcpwrap(machine, &[name, "--help"]).contains("--json"))
            .collect();
        assert_eq!(said.trim(), names.join(" "), "{said}");
    });
}
