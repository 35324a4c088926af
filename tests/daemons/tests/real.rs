//! Daemons of Debian's packages, unmodified, on our library: each serves, refuses, logs and obeys edits as on
//! Debian's.
//!
//! What is here and what is not, and why: `README.md`.

#![forbid(unsafe_code)]

use std::process::Command;

use daemons_tests::{Service, said, visit};

/// A test for each daemon; in brackets, whether there is anything to test.
macro_rules! services {
    ($($name:ident $(($works:expr))?: $service:expr;)*) => {
        $(
            #[test]
            fn $name() {
                $(
                    if !$works {
                        return;
                    }
                )?
                support::alone(|machine| visit(machine, &$service));
            }
        )*
    };
}

/// Reads what a TCP server says.
macro_rules! read {
    ($port:literal) => {
        concat!("socat -t5 -u TCP:$SERVER:", $port, " -; echo closed")
    };
}

/// The version of a Debian package.
fn version(package: &str) -> String {
    said(Command::new("dpkg-query").args(["-W", "-f", "${Version}", package]))
}

services! {
    sshd: Service {
        name: "sshd",
        prepare: "mkdir -p /run/sshd; ssh-keygen -q -t ed25519 -N '' -f /srv/host; \
            ssh-keygen -q -t ed25519 -N '' -f /srv/client; \
            printf 'HostKey /srv/host\nAuthorizedKeysFile /srv/client.pub\nStrictModes no\nUsePAM no\n' \
                >/srv/sshd_config",
        daemon: "/usr/sbin/sshd -D -f /srv/sshd_config",
        port: 22,
        // A reset where it spoke before the connection was closed, an end where it did not.
        client: "ssh -F none -i /srv/client -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
            -o LogLevel=INFO -o BatchMode=yes root@$SERVER echo served 2>&1 | \
            sed 's/read: Connection reset by peer/Connection closed by remote host/; s/Connection reset by/Connection closed by/'",
        served: "served",
        refused: "kex_exchange_identification",
        logged: "refused connect from",
    };
    // It logs nothing about whom it refuses, whatever it is told to log.
    vsftpd: Service {
        name: "vsftpd",
        prepare: "mkdir -p /srv/ftp /run/vsftpd/empty; echo served >/srv/ftp/hello; \
            printf '%s\n' listen=YES background=NO tcp_wrappers=YES anonymous_enable=YES local_enable=NO \
                anon_root=/srv/ftp secure_chroot_dir=/run/vsftpd/empty >/srv/vsftpd.conf",
        daemon: "/usr/sbin/vsftpd /srv/vsftpd.conf",
        port: 21,
        client: "curl -sv --no-progress-meter ftp://$SERVER/hello 2>&1 | grep -E '^served|^< 421'",
        served: "served",
        refused: "421 Service not available.",
        logged: "",
    };
    // Debian 13 has made modules of what every server needs. Without an address of its own it looks the
    // machine's name up, which nobody here knows, and ends.
    proftpd: Service {
        name: "proftpd",
        prepare: "mkdir -p /srv/ftp /etc/proftpd; echo served >/srv/ftp/hello; \
            cd $UNPACKED/usr/lib/proftpd; for module in ls xfer wrap; do \
                if [ -e mod_$module.so ]; then echo LoadModule mod_$module.c; fi; done >/srv/modules.conf; \
            printf '%s\n' \"ModulePath $PWD\" 'Include /srv/modules.conf' 'ServerType standalone' \
                'DefaultServer on' 'DefaultAddress 127.0.0.1' 'UseIPv6 off' 'UseReverseDNS off' 'Port 21' \
                'User nobody' 'Group nogroup' 'PidFile /run/proftpd.pid' 'ScoreboardFile /run/proftpd.score' \
                'SyslogLevel debug' '<IfModule mod_delay.c>' 'DelayEngine off' '</IfModule>' \
                'WtmpLog off' 'UseFtpUsers off' 'RequireValidShell off' \
                'TCPAccessFiles /etc/hosts.allow /etc/hosts.deny' '<Anonymous /srv/ftp>' 'User nobody' \
                'Group nogroup' 'UserAlias anonymous nobody' '</Anonymous>' >/etc/proftpd/proftpd.conf",
        daemon: "$UNPACKED/usr/sbin/proftpd --nodaemon --quiet -c /etc/proftpd/proftpd.conf",
        port: 21,
        client: "curl -sv --no-progress-meter ftp://$SERVER/hello 2>&1 | grep -E '^served|^< 5'",
        served: "served",
        refused: "530 Access denied",
        logged: "refused connection from",
    };
    stunnel: Service {
        name: "service",
        prepare: "openssl req -x509 -newkey rsa:2048 -nodes -keyout /srv/key -out /srv/cert -subj /CN=x -days 2 \
                2>/dev/null; \
            printf '%s\n' foreground=quiet syslog=yes cert=/srv/cert key=/srv/key '[service]' libwrap=yes \
                accept=0.0.0.0:2001 exec=/bin/echo 'execArgs=echo served' >/srv/stunnel.conf",
        daemon: "/usr/bin/stunnel4 /srv/stunnel.conf",
        port: 2001,
        client: "sleep 2 | openssl s_client -quiet -connect $SERVER:2001 2>/dev/null; echo closed",
        served: "served",
        refused: "closed",
        logged: "REFUSED by libwrap",
    };
    socat: Service {
        name: "service",
        prepare: "",
        daemon: "/usr/bin/socat -d -ly TCP4-LISTEN:2001,reuseaddr,fork,tcpwrap=service SYSTEM:'echo served'",
        port: 2001,
        client: read!(2001),
        served: "served",
        refused: "closed",
        logged: "refus",
    };
    // It asks libwrap about what it starts, and about no service that it runs itself: of those, `echo`.
    openbsd_inetd: Service {
        name: "service",
        prepare: "printf '%s\n' '2001 stream tcp nowait root /bin/echo service served' \
            'echo stream tcp nowait root internal' >/srv/inetd.conf",
        daemon: "/usr/sbin/inetd -i -l /srv/inetd.conf",
        port: 2001,
        client: "echo echoed | socat -t30 - TCP:$SERVER:7; socat -t5 -u TCP:$SERVER:2001 -; echo closed",
        served: "echoed\nserved\nclosed",
        refused: "echoed\nclosed",
        logged: "refuse",
    };
    xinetd: Service {
        name: "echo",
        prepare: "printf '%s\n' 'service guarded' '{' 'type = UNLISTED' 'port = 2001' 'socket_type = stream' \
            'protocol = tcp' 'wait = no' 'user = root' 'server = /bin/echo' 'server_args = served' \
            'log_type = SYSLOG daemon' 'log_on_failure = HOST' '}' >/srv/xinetd.conf",
        daemon: "$UNPACKED/usr/sbin/xinetd -dontfork -f /srv/xinetd.conf -pidfile /run/xinetd.pid",
        port: 2001,
        client: read!(2001),
        served: "served",
        refused: "closed",
        logged: "libwrap",
    };
    rpcbind: Service {
        name: "rpcbind",
        prepare: "mkdir -p /run/rpcbind; chown _rpc /run/rpcbind",
        daemon: "/sbin/rpcbind -f",
        port: 111,
        client: "rpcinfo -p $SERVER",
        served: "portmapper",
        refused: "Authentication error",
        logged: "connect from",
    };
    // Whom it refuses it tells nothing; after five seconds the client would ask again.
    // A later one asks for a socket of no family when a request comes, and ends, with either library.
    tftpd(version("tftpd-hpa").starts_with("5.2+2015")): Service {
        name: "in.tftpd",
        prepare: "mkdir -p /srv/tftp; echo served >/srv/tftp/hello",
        daemon: "/usr/sbin/in.tftpd -L --address 0.0.0.0:69 -s /srv/tftp",
        port: 69,
        client: "rm -f /srv/got; timeout 4.5 tftp -m binary $SERVER -c get hello /srv/got; cat /srv/got; echo done",
        served: "served",
        refused: "done",
        logged: "connection refused from",
    };
    mosquitto: Service {
        name: "mosquitto",
        prepare: "printf '%s\n' 'listener 1883 0.0.0.0' 'allow_anonymous true' 'log_dest syslog' \
            'log_type all' >/srv/mosquitto.conf",
        daemon: "/usr/sbin/mosquitto -c /srv/mosquitto.conf",
        port: 1883,
        client: "mosquitto_pub -h $SERVER -t topic -m text && echo served || echo refused",
        served: "served",
        refused: "refused",
        logged: "denied access by tcpd",
    };
    // Since 2.4 it does not link libwrap.
    dovecot(version("dovecot-core").contains(":2.3")): Service {
        name: "imap",
        prepare: "printf '%s\n' 'protocols = imap' 'base_dir = /run/dovecot' 'ssl = no' \
            'import_environment = LD_LIBRARY_PATH' 'login_access_sockets = tcpwrap' \
            'passdb {' 'driver = static' 'args = nopassword=y' '}' \
            'service tcpwrap {' 'service_count = 0' 'process_min_avail = 1' 'unix_listener login/tcpwrap {' 'group = dovenull' 'mode = 0660' 'user = dovenull' \
            '}' '}' >/srv/dovecot.conf",
        daemon: "/usr/sbin/dovecot -F -c /srv/dovecot.conf",
        port: 143,
        // Whose client hangs up it would leave without a word; so it hangs up first.
        client: "printf 'a logout\r\n' | socat -t60 - TCP:$SERVER:143,shut-none 2>/dev/null | \
            grep -v Waiting; echo closed",
        served: "* OK",
        refused: "closed",
        logged: "access(tcpwrap)",
    };
    slapd: Service {
        name: "slapd",
        prepare: "printf 'include /etc/ldap/schema/core.schema\n' >/srv/slapd.conf",
        daemon: "/usr/sbin/slapd -d 0 -s stats -h ldap://0.0.0.0:389 -f /srv/slapd.conf",
        port: 389,
        client: "ldapsearch -x -o nettimeout=30 -H ldap://$SERVER -b '' -s base",
        served: "numEntries",
        refused: "ldap_",
        logged: "DENIED from",
    };
    snmpd: Service {
        name: "snmpd",
        prepare: "printf '%s\n' 'rocommunity public' 'sysName served' >/srv/snmpd.conf",
        daemon: "/usr/sbin/snmpd -f -Lsd -C -c /srv/snmpd.conf udp:161",
        port: 161,
        // Whom it refuses it tells nothing.
        client: "snmpget -t 5 -r 0 -v2c -c public $SERVER 1.3.6.1.2.1.1.5.0",
        served: "served",
        refused: "Timeout",
        logged: "REFUSED",
    };
    // Debian's library keeps refused clients waiting (deviation 9), so this one says no more than that.
    nrpe: Service {
        name: "nrpe",
        prepare: "printf '%s\n' server_port=5666 nrpe_user=nagios nrpe_group=nagios pid_file=/run/nrpe.pid \
            'command[hello]=/bin/echo served' >/srv/nrpe.cfg",
        daemon: "/usr/sbin/nrpe -n -f -c /srv/nrpe.cfg",
        port: 5666,
        client: "/usr/lib/nagios/plugins/check_nrpe -2 -n -t 30 -H $SERVER -c hello | \
            sed 's/^CHECK_NRPE.*/refused/'",
        served: "served",
        refused: "refused",
        logged: "refused connect from",
    };
    // hosts_ctl() leaves the log line to the program, and this one writes none.
    perl: Service {
        name: "perld",
        prepare: r#"cat >/srv/daemon.pl <<'PERL'
use IO::Socket::INET; use Authen::Libwrap qw(hosts_ctl);
my $listener = IO::Socket::INET->new(LocalPort => 2001, Listen => 5, ReuseAddr => 1) or die;
while (my $client = $listener->accept) {
    print $client hosts_ctl('perld', $client) ? "served\n" : "refused\n";
    close $client;
}
PERL"#,
        daemon: "perl /srv/daemon.pl",
        port: 2001,
        client: read!(2001),
        served: "served",
        refused: "refused",
        logged: "",
    };
}
