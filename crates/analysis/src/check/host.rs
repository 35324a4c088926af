//! Codes of diagnostics that depend on the machine the tables are for. Only their meaning is here; the
//! command looks for them, where it is asked to.

use super::code::{Code, Level, allow};

macro_rules! code {
    ($(#[$doc:meta])* $name:ident, $id:literal, $slug:literal, $level:ident, $meaning:literal, $remedy:literal,
     $bad:literal, $good:literal) => {
        $(#[$doc])*
        pub static $name: Code = Code {
            id: $id,
            name: $slug,
            level: Level::$level,
            meaning: $meaning,
            remedy: $remedy,
            bad: allow($bad),
            good: allow($good),
            needs_host: true,
        };
    };
}

code!(
    /// No such program is installed.
    NO_PROGRAM, "W501", "no-such-program", Warning,
    "No program of this name is installed here, nor does any service started by inetd, xinetd or systemd go \
     by it, so the rule protects nothing on this machine.",
    "Correct the name, or remove the rule.",
    "no-such-daemon: 10.0.0.1\n", "sshd: 10.0.0.1\n"
);
code!(
    /// The program is there, but nothing asks the tables for it.
    UNGUARDED, "W502", "unguarded", Warning,
    "The program is installed, but nothing makes it obey these tables: it is not linked with libwrap, not \
     started through tcpd, and not run under `tcpwrap run`. Everyone can reach it, whatever the rules say.",
    "Start it with `tcpwrap run`, or make the firewall do what the rule says.",
    "nginx: 10.0.0.1\n", "sshd: 10.0.0.1\n"
);
code!(
    /// A command's program does not exist.
    NO_COMMAND, "W503", "no-such-command", Error,
    "The program that this option's command begins with does not exist or cannot be executed, so the command \
     fails every time. After `aclexec` that means refusal, after `twist` a closed connection.",
    "Install the program, or correct its path.",
    "sshd: 10.0.0.1 : spawn /no/such/program\n", "sshd: 10.0.0.1 : spawn /bin/true\n"
);
code!(
    /// A command's program can be changed by others than root.
    WRITABLE_COMMAND, "W504", "writable-command", Error,
    "Others than root may change the program this command runs, or put another in its place. Whoever can, \
     runs what they like with the rights of the service, often root.",
    "Take away their permission to write.",
    "sshd: 10.0.0.1 : spawn /tmp/program\n", "sshd: 10.0.0.1 : spawn /bin/true\n"
);
code!(
    /// A table or its directory can be changed by others than root.
    WRITABLE_TABLE, "W505", "writable-table", Error,
    "Others than root may change this table, or the directory it is in, and so let in whomever they like, or \
     run commands as root.",
    "Make root the owner, and take away everyone else's permission to write.",
    "sshd: 10.0.0.1\n", "sshd: 10.0.0.1\n"
);
code!(
    /// A `/file` pattern's file is missing or cannot be read.
    NO_FILE, "W506", "no-such-file", Warning,
    "The file that this pattern names is missing or cannot be read. Such a pattern matches nothing.",
    "Create the file, or correct its path.",
    "sshd: /etc/no-such-file\n", "sshd: 10.0.0.1\n"
);
code!(
    /// `/file` patterns go round in a circle or nest too deeply.
    CYCLE, "W507", "file-cycle", Error,
    "The file names itself, directly or through other files, or files nest more than 16 deep. The pattern \
     that closes the circle matches nothing; the reference crashes.",
    "Break the circle.",
    "sshd: /etc/hosts.circle\n", "sshd: 10.0.0.1\n"
);
code!(
    /// A mistake in a file that a `/file` pattern names.
    IN_FILE, "W508", "bad-pattern-in-file", Warning,
    "A word of this file, which a rule names as a list of hosts, is not what it seems: a comment, a comma, \
     an IPv6 address without brackets. Such files hold patterns with white space between them, nothing else.",
    "Correct the word.",
    "sshd: /etc/hosts.list\n", "sshd: 10.0.0.1\n"
);
code!(
    /// The directory of a `banners` option is missing.
    NO_BANNERS, "W509", "no-such-banners", Warning,
    "The directory that this option names does not exist, so no banner is sent, and every time is logged.",
    "Create the directory, or correct its path.",
    "sshd: 10.0.0.1 : banners /no/such/directory\n", "sshd: 10.0.0.1\n"
);
code!(
    /// A `user` or `group` option names nobody.
    NO_USER, "W510", "no-such-user", Error,
    "There is no such user or group here. That is an error when the rule matches, and denies.",
    "Create the user or group, or correct the name.",
    "in.fingerd: 10.0.0.1 : user no-such-user\n", "in.fingerd: 10.0.0.1 : user nobody\n"
);
code!(
    /// A netgroup is not known.
    NO_NETGROUP, "W511", "no-such-netgroup", Warning,
    "No netgroup of this name is known here, so the pattern matches nobody.",
    "Define the netgroup, or correct its name.",
    "sshd: @no-such-group\n", "sshd: 10.0.0.1\n"
);
code!(
    /// A host name has no address.
    NO_HOST, "W512", "unknown-host", Warning,
    "This host name has no address, so no client will be known by it.",
    "Correct the name, or write the host's address.",
    "sshd: no-such-host.example.com\n", "sshd: 10.0.0.1\n"
);
code!(
    /// A host name is an alias of another.
    ALIAS_HOST, "W513", "host-alias", Warning,
    "This host name is an alias. Clients are known by the name that their address leads to, so the pattern \
     does not match this host.",
    "Write the name that the address leads to.",
    "sshd: www.example.com\n", "sshd: 10.0.0.1\n"
);
code!(
    /// A host's address does not lead back to its name.
    CONFLICT, "W514", "name-address-conflict", Warning,
    "The address of this host leads back to another name, or to none. Such a client counts as `paranoid` or \
     `unknown`, and does not match its name.",
    "Correct the name service, or write the address.",
    "sshd: host.example.com\n", "sshd: 10.0.0.1\n"
);
code!(
    /// The present session would be refused.
    LOCKOUT, "W515", "locks-you-out", Error,
    "The client of the session this runs in would be refused by these tables. Once it ends, you may not get \
     back in.",
    "Allow the client before you close the session.",
    "sshd: 10.0.0.1\n", "sshd: ALL\n"
);
code!(
    /// A mistake in the files that say which services are started.
    SERVICES, "W516", "service-configuration", Warning,
    "Something is wrong in the configuration of inetd, xinetd or systemd, or with a program named there: the \
     program that tcpd is to run does not exist, can be changed by others, is set-user-id, or tcpd cannot see \
     its clients.",
    "Correct the configuration, or the program's permissions.",
    "in.no-such: 10.0.0.1\n", "sshd: 10.0.0.1\n"
);
code!(
    /// A scope id names no network interface.
    NO_INTERFACE, "W517", "no-such-interface", Warning,
    "The part after the `%` names a network interface, and there is none of this name here, so the pattern \
     matches nobody.",
    "Correct the interface's name, or leave the scope out.",
    "sshd: [fe80::1%no-such-if]\n", "sshd: [fe80::1]\n"
);
code!(
    /// An address in a rule has no name.
    NAMELESS, "W518", "nameless-address", Info,
    "This address has no name, or one that does not lead back to it. The rule works, but log lines show the \
     address alone, and patterns for names will not match this host.",
    "Give the address a name, if it is yours.",
    "sshd: 192.0.2.99\n", "sshd: ALL\n"
);
code!(
    /// A server endpoint is given by a name with several addresses.
    MANY_ADDRESSES, "W519", "several-addresses", Info,
    "The name of this server endpoint has several addresses. Which of them a client came to is not looked up \
     by name, so the rule may not match where it was meant to.",
    "Write the endpoint's address.",
    "sshd@www.example.com: 10.0.0.1\n", "sshd@192.0.2.1: ALL\n"
);

/// Their codes, in order.
pub(super) static CODES: &[&Code] = &[
    &NO_PROGRAM,
    &UNGUARDED,
    &NO_COMMAND,
    &WRITABLE_COMMAND,
    &WRITABLE_TABLE,
    &NO_FILE,
    &CYCLE,
    &IN_FILE,
    &NO_BANNERS,
    &NO_USER,
    &NO_NETGROUP,
    &NO_HOST,
    &ALIAS_HOST,
    &CONFLICT,
    &LOCKOUT,
    &SERVICES,
    &NO_INTERFACE,
    &NAMELESS,
    &MANY_ADDRESSES,
];
