//! Codes of diagnostics that depend on the machine the tables are for. Only their meaning is here; the
//! command looks for them, where it is asked to.

use super::code::{Code, Level, allow, codes};

codes! {
    @host
    /// No such program is installed.
    pub NO_PROGRAM = "W501" "no-such-program" Warning {
        meaning: "No program of this name is installed here, nor does any service started by inetd, xinetd or systemd go \
     by it, so the rule protects nothing on this machine.",
        remedy: "Correct the name, or remove the rule.",
        bad: allow("no-such-daemon: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// The program is there, but nothing asks the tables for it.
    pub UNGUARDED = "W502" "unguarded" Warning {
        meaning: "The program is installed, but nothing makes it obey these tables: it is not linked with libwrap, not \
     started through tcpd, and not run under `tcpwrap run`. Everyone can reach it, whatever the rules say.",
        remedy: "Start it with `tcpwrap run`, or make the firewall do what the rule says.",
        bad: allow("nginx: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A command's program does not exist.
    pub NO_COMMAND = "W503" "no-such-command" Error {
        meaning: "The program that this option's command begins with does not exist or cannot be executed, so the command \
     fails every time. After `aclexec` that means refusal, after `twist` a closed connection.",
        remedy: "Install the program, or correct its path.",
        bad: allow("sshd: 10.0.0.1 : spawn /no/such/program\n"),
        good: allow("sshd: 10.0.0.1 : spawn /bin/true\n"),
    }

    /// A command's program can be changed by others than root.
    pub WRITABLE_COMMAND = "W504" "writable-command" Error {
        meaning: "Others than root may change the program this command runs, or put another in its place. Whoever can, \
     runs what they like with the rights of the service, often root.",
        remedy: "Take away their permission to write.",
        bad: allow("sshd: 10.0.0.1 : spawn /tmp/program\n"),
        good: allow("sshd: 10.0.0.1 : spawn /bin/true\n"),
    }

    /// A table or its directory can be changed by others than root.
    pub WRITABLE_TABLE = "W505" "writable-table" Error {
        meaning: "Others than root may change this table, or the directory it is in, and so let in whomever they like, or \
     run commands as root.",
        remedy: "Make root the owner, and take away everyone else's permission to write.",
        bad: allow("# -rw-rw-rw- root root hosts.allow\nsshd: 10.0.0.1\n"),
        good: allow("# -rw-r--r-- root root hosts.allow\nsshd: 10.0.0.1\n"),
    }

    /// A `/file` pattern's file is missing or cannot be read.
    pub NO_FILE = "W506" "no-such-file" Warning {
        meaning: "The file that this pattern names is missing or cannot be read. Such a pattern matches nothing.",
        remedy: "Create the file, or correct its path.",
        bad: allow("sshd: /etc/no-such-file\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// `/file` patterns go round in a circle or nest too deeply.
    pub CYCLE = "W507" "file-cycle" Error {
        meaning: "The file names itself, directly or through other files, or files nest more than 16 deep. The pattern \
     that closes the circle matches nothing; the reference crashes.",
        remedy: "Break the circle.",
        bad: allow("sshd: /etc/hosts.circle\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A mistake in a file that a `/file` pattern names.
    pub IN_FILE = "W508" "bad-pattern-in-file" Warning {
        meaning: "A word of this file, which a rule names as a list of hosts, is not what it seems: a comment, a comma, \
     an IPv6 address without brackets. Such files hold patterns with white space between them, nothing else.",
        remedy: "Correct the word.",
        bad: allow("sshd: /etc/hosts.list\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// The directory of a `banners` option is missing.
    pub NO_BANNERS = "W509" "no-such-banners" Warning {
        meaning: "The directory that this option names does not exist, so no banner is sent, and every time is logged.",
        remedy: "Create the directory, or correct its path.",
        bad: allow("sshd: 10.0.0.1 : banners /no/such/directory\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A `user` or `group` option names nobody.
    pub NO_USER = "W510" "no-such-user" Error {
        meaning: "There is no such user or group here. That is an error when the rule matches, and denies.",
        remedy: "Create the user or group, or correct the name.",
        bad: allow("in.fingerd: 10.0.0.1 : user no-such-user\n"),
        good: allow("in.fingerd: 10.0.0.1 : user nobody\n"),
    }

    /// A netgroup is not known.
    pub NO_NETGROUP = "W511" "no-such-netgroup" Warning {
        meaning: "No netgroup of this name is known here, so the pattern matches nobody.",
        remedy: "Define the netgroup, or correct its name.",
        bad: allow("sshd: @no-such-group\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A host name has no address.
    pub NO_HOST = "W512" "unknown-host" Warning {
        meaning: "This host name has no address, so no client will be known by it.",
        remedy: "Correct the name, or write the host's address.",
        bad: allow("sshd: no-such-host.example.com\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A host name is an alias of another.
    pub ALIAS_HOST = "W513" "host-alias" Warning {
        meaning: "This host name is an alias. Clients are known by the name that their address leads to, so the pattern \
     does not match this host.",
        remedy: "Write the name that the address leads to.",
        bad: allow("sshd: www.example.com\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A host's address does not lead back to its name.
    pub CONFLICT = "W514" "name-address-conflict" Warning {
        meaning: "The address of this host leads back to another name, or to none. Such a client counts as `paranoid` or \
     `unknown`, and does not match its name.",
        remedy: "Correct the name service, or write the address.",
        bad: allow("sshd: host.example.com\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// The present session would be refused.
    pub LOCKOUT = "W515" "locks-you-out" Error {
        meaning: "The client of the session this runs in would be refused by these tables. Once it ends, you may not get \
     back in.",
        remedy: "Allow the client before you close the session.",
        bad: allow("sshd: 10.0.0.1\n"),
        good: allow("sshd: ALL\n"),
    }

    /// A mistake in the files that say which services are started.
    pub SERVICES = "W516" "service-configuration" Warning {
        meaning: "Something is wrong in the configuration of inetd, xinetd or systemd, or with a program named there: the \
     program that tcpd is to run does not exist, can be changed by others, is set-user-id, or tcpd cannot see \
     its clients.",
        remedy: "Correct the configuration, or the program's permissions.",
        bad: allow("in.no-such: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A scope id names no network interface.
    pub NO_INTERFACE = "W517" "no-such-interface" Warning {
        meaning: "The part after the `%` names a network interface, and there is none of this name here, so the pattern \
     matches nobody.",
        remedy: "Correct the interface's name, or leave the scope out.",
        bad: allow("sshd: [fe80::1%no-such-if]\n"),
        good: allow("sshd: [fe80::1]\n"),
    }

    /// An address in a rule has no name.
    pub NAMELESS = "W518" "nameless-address" Info {
        meaning: "This address has no name, or one that does not lead back to it. The rule works, but log lines show the \
     address alone, and patterns for names will not match this host.",
        remedy: "Give the address a name, if it is yours.",
        bad: allow("sshd: 192.0.2.99\n"),
        good: allow("sshd: ALL\n"),
    }

    /// A server endpoint is given by a name with several addresses.
    pub MANY_ADDRESSES = "W519" "several-addresses" Info {
        meaning: "The name of this server endpoint has several addresses. Which of them a client came to is not looked up \
     by name, so the rule may not match where it was meant to.",
        remedy: "Write the endpoint's address.",
        bad: allow("sshd@www.example.com: 10.0.0.1\n"),
        good: allow("sshd@192.0.2.1: ALL\n"),
    }

    /// The program has libwrap and does not use it.
    pub SWITCHED_OFF = "W520" "switched-off" Warning {
        meaning: "The program has libwrap, but its configuration does not have it ask the tables, which is the default \
     for some: `tcp_wrappers` of vsftpd, `libwrap` of stunnel, `TCPAccessFiles` of proftpd. Everyone can reach it, \
     whatever the rules say.",
        remedy: "Set what the message names, and start the program anew.",
        bad: allow("vsftpd: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// The program asks under another name.
    pub OTHER_NAME = "W521" "asks-by-another-name" Warning {
        meaning: "The program asks the tables, but under a name that is not its own: `rpc.mountd` asks as `mountd`, \
     stunnel as what stands in brackets in its configuration. A rule for the program's name has no effect.",
        remedy: "Write the name that the message says.",
        bad: allow("rpc.mountd: 10.0.0.1\n"),
        good: allow("mountd: 10.0.0.1\n"),
    }

    /// Whether the program asks is not certain.
    pub UNCERTAIN = "W522" "perhaps-unguarded" Info {
        meaning: "The program has libwrap or can load it, but whether it asks the tables depends on something that is not \
     known here.",
        remedy: "Try it: connect from an address that the rules refuse.",
        bad: allow("upsd: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// Nothing asks for some of what listens here.
    pub BARE_LISTENERS = "W523" "bare-listeners" Info {
        meaning: "The rule is for all daemons, and on this machine programs wait for clients without asking the tables. \
     For them the rule does not hold.",
        remedy: "Look at `tcpwrap status`. Start what rules should hold for with `tcpwrap run`, or have the firewall \
     close its ports.",
        bad: allow("ALL: 10.0.0.1\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A file beside the tables that nothing reads.
    pub STRAY_TABLE = "W524" "stray-table" Warning {
        meaning: "A file stands beside the tables whose name is nearly that of one, such as `hosts.accept` or `host.deny`. \
            Nothing reads it, and no rule in it holds. Looked for without --host too.",
        remedy: "Move its rules into the table, or remove the file.",
        bad: allow("# this file is called hosts.accept\nsshd: 10.0.0.1\n"),
        good: allow("# this file is called hosts.allow\nsshd: 10.0.0.1\n"),
    }

    /// The name service does not answer.
    pub NO_ANSWER = "W525" "no-answer" Warning {
        meaning: "The name service has not said whether there is such a host: it did not answer, or took so long for all the \
            hosts of the tables that the rest was not asked for. Nothing is known against the rule.",
        remedy: "Look after the name service, and check again.",
        bad: allow("sshd: host.example.com\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// What a rule asks has no answer here.
    pub NOT_KNOWN = "W526" "not-known-here" Error {
        meaning: "What this pattern asks cannot be told on this machine: the database it needs is missing or damaged, or \
            the ban list cannot be read. What is not known opens no door: a rule that lets in is passed over, a rule \
            that refuses refuses everyone who is held against it.",
        remedy: "Install the database and name it in [geo] of /etc/tcpwrap.toml, or mend the file that the message names.",
        bad: allow("sshd: {country=DE}\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A database is old, a copy of one that is gone, or has a copy that is.
    pub OLD_DATABASE = "W527" "old-database" Warning {
        meaning: "The database of countries or autonomous systems was made more than 60 days ago; or it is gone or \
            damaged and a copy of it is asked; or the copy that would be asked then is damaged, or 60 days older. Networks change hands all the time, so it is wrong about more and more \
            clients.",
        remedy: "Install a newer one, and have it updated regularly.",
        bad: allow("sshd: {country=DE}\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }

    /// A time zone is not known.
    pub NO_ZONE = "W528" "unknown-time-zone" Error {
        meaning: "This machine does not know the time zone, so what time it is there is not known, and what is not known \
            opens no door.",
        remedy: "Correct the zone's name, or install the time zone database (tzdata).",
        bad: allow("sshd: {time=0800-1800/Europe/Berlim}\n"),
        good: allow("sshd: {time=0800-1800/UTC}\n"),
    }

    /// There are bans, and no rule asks for them.
    pub BANS_UNASKED = "W529" "bans-unasked" Warning {
        meaning: "Somebody is banned on this machine, and no rule of these tables says `{banned}`. A ban takes effect only \
            where a rule asks for it, so nothing happens.",
        remedy: "Put `ALL: {banned} : deny` at the top of hosts.allow.",
        bad: allow("sshd: 10.0.0.1\n"),
        good: allow("ALL: {banned} : deny\nsshd: 10.0.0.1\n"),
    }

    /// A client is banned, and let in.
    pub BANNED_LET_IN = "W530" "banned-let-in" Warning {
        meaning: "A client that is banned is let in by this rule, which stands above those that ask for bans. It has been \
            computed, for bans that are in force.",
        remedy: "Put the rule below the one that refuses whoever is banned, unless these clients are to be exempt.",
        bad: allow("sshd: 10.\nALL: {banned} : deny\nsshd: 192.168.\n"),
        good: allow("ALL: {banned} : deny\nsshd: 10.\n"),
    }

    /// A daemon cannot come at what a rule asks.
    pub OUT_OF_REACH = "W531" "out-of-reach" Warning {
        meaning: "A daemon that runs here, or that an installed unit would start, cannot come at what a rule for it asks or \
            remembers: it runs as another user, in a root directory of its own, with `/run` or `/var` read-only or hidden, \
            or its unit forbids it to ask the kernel. For it that is not known, whatever other programs know.",
        remedy: "Change how the daemon is started (ReadWritePaths=, RestrictAddressFamilies=), have `tcpwrap run` guard it, \
            or give it rules that ask nothing of the kind.",
        bad: allow("snmptrapd: ALL : limit 5/minute\n"),
        good: allow("sshd: 10.0.0.1\n"),
    }
}
