//! The program that a command line is about: behind `env`, `nice`, `ip netns exec` and the like, which only
//! prepare something and then execute it.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

/// A program that executes another.
struct Wrapper {
    name: &'static str,
    /// Letters of options that stand alone.
    alone: &'static str,
    /// Letters of options that have a value.
    valued: &'static str,
    /// Long options that have a value as the next word. Others have it behind `=`, or none.
    long: &'static [&'static str],
    /// Words after the options and before the program.
    operands: usize,
}

const fn wrapper(
    name: &'static str,
    alone: &'static str,
    valued: &'static str,
    long: &'static [&'static str],
    operands: usize,
) -> Wrapper {
    Wrapper {
        name,
        alone,
        valued,
        long,
        operands,
    }
}

const WRAPPERS: [Wrapper; 17] = [
    wrapper("env", "i0v", "uCa", &["unset", "chdir", "argv0"], 0),
    wrapper("nice", "0123456789", "n", &["adjustment"], 0),
    wrapper("ionice", "t", "cn", &["class", "classdata"], 0),
    wrapper("nohup", "", "", &[], 0),
    wrapper("setsid", "cfw", "", &[], 0),
    wrapper("setarch", "vRFILSTXZB3", "", &[], 1),
    wrapper("stdbuf", "", "ioe", &["input", "output", "error"], 0),
    wrapper("timeout", "fpv", "ks", &["kill-after", "signal"], 1),
    wrapper("taskset", "ac", "", &[], 1),
    wrapper(
        "chrt",
        "abdfiorRv",
        "TPD",
        &["sched-runtime", "sched-period", "sched-deadline"],
        1,
    ),
    wrapper("chroot", "", "", &["userspec", "groups"], 1),
    // `netns exec NAME`, or `vrf exec NAME`.
    wrapper("ip", "46", "", &[], 3),
    wrapper(
        "sudo",
        "ABEHknPSb",
        "CDghprRTUut",
        &[
            "close-from",
            "chdir",
            "group",
            "host",
            "prompt",
            "role",
            "chroot",
            "command-timeout",
            "other-user",
            "user",
            "type",
        ],
        0,
    ),
    wrapper("doas", "n", "uC", &[], 0),
    wrapper(
        "setpriv",
        "d",
        "",
        &[
            "ruid",
            "euid",
            "rgid",
            "egid",
            "reuid",
            "regid",
            "groups",
            "inh-caps",
            "ambient-caps",
            "bounding-set",
            "securebits",
            "pdeathsig",
            "ptracer",
            "selinux-label",
            "apparmor-profile",
            "landlock-access",
            "landlock-rule",
            "seccomp-filter",
        ],
        0,
    ),
    wrapper(
        "unshare",
        "imnpuUCTfrc",
        "SGRwl",
        &[
            "propagation",
            "setgroups",
            "map-user",
            "map-group",
            "map-users",
            "map-groups",
            "setuid",
            "setgid",
            "root",
            "wd",
            "load-interp",
            "monotonic",
            "boottime",
        ],
        0,
    ),
    wrapper(
        "nsenter",
        "amuinpCUTFeZr",
        "tSGWN",
        &["target", "setuid", "setgid", "wdns", "net-socket"],
        0,
    ),
];

/// What only asks a daemon to start the program, where no guard follows.
const ELSEWHERE: [&str; 6] = [
    "systemd-run",
    "docker",
    "nerdctl",
    "kubectl",
    "machinectl",
    "systemctl",
];

/// What executes something that its arguments alone do not tell, or not in a way known here.
const UNCLEAR: [&str; 10] = [
    "podman",
    "su",
    "runuser",
    "start-stop-daemon",
    "daemonize",
    "daemon",
    "strace",
    "gdb",
    "valgrind",
    "firejail",
];

/// Why no program can be named.
#[derive(Debug, PartialEq, Eq)]
pub enum Unknown {
    /// The command does not say it clearly.
    Unclear(String),
    /// The program would be started by somebody else, unguarded.
    Elsewhere(String),
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unknown::Unclear(name) => write!(
                f,
                "which program does {name} start? By what name rules know it: give --name"
            ),
            Unknown::Elsewhere(name) => write!(
                f,
                "{name} has somebody else start the program, where it is not guarded: put tcpwrap run before the \
                 program itself"
            ),
        }
    }
}

/// The name of the program that a command is about.
pub fn name<S: AsRef<OsStr>>(command: &[S]) -> Result<String, Unknown> {
    let words: Vec<&OsStr> = command.iter().map(AsRef::as_ref).collect();
    let mut rest = &words[..];
    loop {
        let Some((program, arguments)) = rest.split_first() else {
            return Ok(String::new());
        };
        let name = base(program);
        // Before a scope, systemd-run executes the program itself.
        let is_scope = name == "systemd-run" && arguments.contains(&OsStr::new("--scope"));
        if ELSEWHERE.contains(&name.as_str()) && !is_scope {
            return Err(Unknown::Elsewhere(name));
        }
        if is_scope || UNCLEAR.contains(&name.as_str()) {
            return Err(Unknown::Unclear(name));
        }
        let is_bare = rest.len() == words.len() && arguments.is_empty();
        let wrapper = WRAPPERS.iter().find(|wrapper| wrapper.name == name);
        let Some(wrapper) = wrapper.filter(|_| !is_bare) else {
            return Ok(name);
        };
        rest = match behind(wrapper, arguments) {
            Some(rest) if !rest.is_empty() => rest,
            _ => return Err(Unknown::Unclear(name)),
        };
    }
}

fn base(program: &OsStr) -> String {
    let name = Path::new(program).file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// What the wrapper executes; nothing where its arguments are not understood.
fn behind<'w, 's>(wrapper: &Wrapper, arguments: &'w [&'s OsStr]) -> Option<&'w [&'s OsStr]> {
    let rest = options(wrapper, arguments)?;
    if wrapper.name == "ip"
        && !matches!(rest, [what, exec, ..] if (*what == "netns" || *what == "vrf") && *exec == "exec")
    {
        return None;
    }
    let rest = rest.get(wrapper.operands..)?;
    if !["env", "sudo"].contains(&wrapper.name) {
        return Some(rest);
    }
    let is_variable = |word: &&&OsStr| word.to_string_lossy().contains('=');
    Some(&rest[rest.iter().take_while(is_variable).count()..])
}

/// What follows the options.
fn options<'w, 's>(wrapper: &Wrapper, arguments: &'w [&'s OsStr]) -> Option<&'w [&'s OsStr]> {
    let mut rest = arguments;
    while let Some((word, after)) = rest.split_first() {
        let word = word.to_str()?;
        if word == "--" {
            return Some(after);
        }
        let has_value = if let Some(long) = word.strip_prefix("--") {
            wrapper.long.contains(&long)
        } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
            let letter = letters.chars().find(|letter| !wrapper.alone.contains(*letter));
            match letter {
                None => false,
                Some(letter) if wrapper.valued.contains(letter) => letters.ends_with(letter),
                Some(_) => return None,
            }
        } else {
            return Some(rest);
        };
        rest = after.get(usize::from(has_value)..)?;
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(command: &str) -> Result<String, Unknown> {
        name(&command.split(' ').collect::<Vec<_>>())
    }

    #[test]
    fn the_program_behind_others() {
        for (command, meant) in [
            ("/usr/sbin/nginx -g x", "nginx"),
            ("env A=b C= /usr/bin/web -x", "web"),
            ("/usr/bin/env -i -u HOME --chdir / nice -n 5 web", "web"),
            ("env -uHOME -- web", "web"),
            ("nice -5 web", "web"),
            ("nice --adjustment=5 ionice -c2 -n 7 web", "web"),
            ("ip netns exec blue web -p 80", "web"),
            ("ip -4 vrf exec red /opt/web", "web"),
            ("sudo -u www -g www A=b web", "web"),
            ("sudo -Eu www web", "web"),
            ("sudo --user=www --preserve-env=A web", "web"),
            ("timeout -k 5 10 web", "web"),
            ("taskset -c 0,1 chrt -f 1 web", "web"),
            ("stdbuf -oL web", "web"),
            ("chroot --userspec www /srv web", "web"),
            ("setpriv --reuid www --clear-groups web", "web"),
            ("unshare -n --mount-proc=/proc web", "web"),
            ("nsenter --target 1 -n web", "web"),
            ("setsid -f nohup web", "web"),
            // Without anything to execute, they are what is meant.
            ("env", "env"),
        ] {
            assert_eq!(named(command), Ok(meant.into()), "{command}");
        }
    }

    #[test]
    fn what_is_not_clear_is_not_guessed() {
        for (command, asked) in [
            ("env -S web", "env"),
            ("sudo -s web", "sudo"),
            ("ip addr show", "ip"),
            ("nice -n", "nice"),
            ("su www -c web", "su"),
            ("runuser www -c web", "runuser"),
            ("env strace -f web", "strace"),
            ("nsenter -t 1 -n/proc/1/ns/net web", "nsenter"),
            ("systemd-run --scope web", "systemd-run"),
        ] {
            assert_eq!(named(command), Err(Unknown::Unclear(asked.into())), "{command}");
        }
        assert_eq!(named("docker run web"), Err(Unknown::Elsewhere("docker".into())));
        assert_eq!(
            named("env systemd-run web"),
            Err(Unknown::Elsewhere("systemd-run".into()))
        );
    }
}
