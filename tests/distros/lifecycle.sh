#!/bin/bash
# Installs, upgrades, removes, purges and reinstalls our packages over those of a distribution, whose daemons must
# go on. Runs as root in a file system of its own, with a network of its own.
#
# lifecycle.sh PACKAGES ARCHIVES: directories with our packages, and with libwrap0 and tcpd as the distribution has them.
set -eu
packages=$1 archives=$2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
cd /
# Nothing is to be had but what is here; and nobody reads manual pages.
rm -rf /etc/apt/sources.list* /var/lib/apt/lists/* /var/lib/man-db/auto-update

fail() { echo "FAILED: $*"; exit 1; }
ours() { for name; do echo "$packages/${name}_"*.deb; done; }
# apt, without asking for what is only recommended.
install() { apt-get install --yes --quiet --no-install-recommends --allow-downgrades "$@"; }
state() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null || echo none; }
# Which file a daemon that links libwrap would load.
library() { readlink -f "$(ldd "$1" | sed -n 's/.*libwrap\.so\.0 => \([^ ]*\).*/\1/p')"; }

daemons=
for daemon in /usr/sbin/sshd /usr/sbin/vsftpd /usr/bin/stunnel4 /sbin/rpcbind; do
    if ldd "$daemon" 2>/dev/null | grep -q libwrap; then daemons="$daemons $daemon"; fi
done
echo "linked with libwrap here:$daemons"
[ -n "$daemons" ] || fail "no daemon to try it on"

printf 'ALL: 127.0.0.1\n' > /etc/hosts.allow
printf 'ALL: ALL\n' > /etc/hosts.deny
tables=$(sha256sum /etc/hosts.allow /etc/hosts.deny)

all_load() {
    for daemon in $daemons; do
        case $(library "$daemon") in
        */tcpwrap/libwrap.so.0) found=ours ;;
        */libwrap.so.0*) found=theirs ;;
        *) found=none ;;
        esac
        [ "$found" = "$1" ] || fail "$daemon loads $(library "$daemon"), not $1"
    done
    [ "$(sha256sum /etc/hosts.allow /etc/hosts.deny)" = "$tables" ] || fail "the tables were touched"
}

# The greeting of a real sshd for a client that comes from an address.
greeting() { python3 - "$1" <<'PY'
import socket, sys
s = socket.socket(); s.settimeout(20); s.bind((sys.argv[1], 0))
try:
    s.connect(("127.0.0.1", 2222)); print(s.recv(4).decode())
except OSError as error:
    print(type(error).__name__)
PY
}
sshd_obeys() {
    mkdir -p /run/sshd
    ssh-keygen -A >/dev/null
    /usr/sbin/sshd -D -e -p 2222 -o ListenAddress=127.0.0.1 -o PidFile=none 2>/tmp/sshd.log &
    server=$!
    for _ in $(seq 100); do
        [ "$(greeting 127.0.0.1)" = SSH- ] && break
        sleep 0.1
    done
    [ "$(greeting 127.0.0.1)" = SSH- ] || fail "sshd does not serve a client that may come in: $(cat /tmp/sshd.log)"
    [ "$(greeting 127.0.0.2)" != SSH- ] || fail "sshd serves a client that is refused"
    if [ "$1" = ours ] && ldd /usr/sbin/sshd | grep -q libwrap; then
        grep -q tcpwrap/libwrap "/proc/$server/maps" || fail "the running sshd has not loaded our library"
    fi
    kill "$server"; wait "$server" 2>/dev/null || true
}
tcpd_is() {
    case $(sha256sum < /usr/sbin/tcpd) in
    "$their_tcpd") found=theirs ;;
    *) found=ours ;;
    esac
    [ "$found" = "$1" ] || fail "/usr/sbin/tcpd is $found, not $1"
}

[ "$(state libwrap0)" = installed ] && [ "$(state tcpd)" = installed ] || fail "libwrap0 and tcpd are to be there"
their_tcpd=$(sha256sum < /usr/sbin/tcpd)
whole() { # dpkg -V prints what differs from the package
    [ -z "$(dpkg -V libwrap0 tcpd | grep -v /usr/share/ || true)" ] || fail "not whole: $(dpkg -V libwrap0 tcpd)"
}
all_load theirs
files() { find /etc /usr /var/lib -path /usr/src -prune -o \( -name '*tcpwrap*' -o -name '*libwrap*' -o -name '*.distrib*' \) -print | grep -v /var/lib/dpkg | sort; }
before=$(files)

echo "== install"
install $(ours tcpwrap tcpwrap-libwrap tcpwrap-tcpd)
all_load ours
tcpd_is ours
sshd_obeys ours
tcpwrap explain sshd 127.0.0.2 | grep -q denied || fail "tcpwrap explain"
for daemon in libwrap0 tcpd openssh-server; do [ "$(state $daemon)" = installed ] || fail "$daemon is gone"; done

echo "== upgrade"
mkdir -p /tmp/newer
for package in $(ours tcpwrap tcpwrap-libwrap tcpwrap-tcpd); do
    rm -rf /tmp/unpacked
    dpkg-deb -R "$package" /tmp/unpacked
    sed -i 's/^Version: .*/Version: 9.9/' /tmp/unpacked/DEBIAN/control
    dpkg-deb -b /tmp/unpacked /tmp/newer >/dev/null
done
install /tmp/newer/*.deb
[ "$(dpkg-query -W -f '${Version}' tcpwrap-libwrap)" = 9.9 ] || fail "no upgrade"
all_load ours
tcpd_is ours
install $(ours tcpwrap tcpwrap-libwrap tcpwrap-tcpd)

echo "== an upgrade of the distribution's packages"
dpkg --install "$archives"/libwrap0_*.deb "$archives"/tcpd_*.deb
all_load ours
tcpd_is ours

echo "== remove"
apt-get remove --yes --quiet tcpwrap tcpwrap-libwrap tcpwrap-tcpd
all_load theirs
tcpd_is theirs
whole
sshd_obeys theirs

echo "== reinstall and purge"
install $(ours tcpwrap tcpwrap-libwrap tcpwrap-tcpd)
all_load ours
apt-get purge --yes --quiet tcpwrap tcpwrap-libwrap tcpwrap-tcpd
all_load theirs
whole
[ -z "$(dpkg-divert --list '*tcpwrap*')" ] || fail "diversions are left: $(dpkg-divert --list '*tcpwrap*')"
[ "$(files)" = "$before" ] || fail "files are left: $(diff <(files) <(echo "$before"))"

echo "== the replacement"
install $(ours tcpwrap-replacement tcpwrap)
for daemon in openssh-server vsftpd stunnel4 rpcbind; do
    [ "$(state $daemon)" != deinstall ] && [ "$(state $daemon)" != config-files ] || fail "$daemon was removed"
done
[ "$(state libwrap0)" != installed ] || fail "libwrap0 is still there"
apt-get check --quiet
all_load ours
sshd_obeys ours
tcpd_is ours

echo "== a build with tcpwrap-dev"
if command -v cc >/dev/null; then
    install $(ours tcpwrap-dev tcpwrap-replacement)
    cat > /tmp/program.c <<'C'
#include <tcpd.h>
int allow_severity, deny_severity;
int main(void) { return !hosts_ctl("sshd", STRING_UNKNOWN, "127.0.0.1", STRING_UNKNOWN); }
C
    cc -o /tmp/program /tmp/program.c -lwrap && /tmp/program || fail "a program linked with -lwrap"
    cc -static -o /tmp/program /tmp/program.c -lwrap && /tmp/program || fail "a program linked with -static -lwrap"
    apt-get purge --yes --quiet tcpwrap-dev
fi

echo "== and back"
install "$archives"/libwrap0_*.deb "$archives"/tcpd_*.deb
[ "$(state tcpwrap-replacement)" != installed ] || fail "the replacement is still there"
for daemon in openssh-server vsftpd stunnel4 rpcbind; do
    [ "$(state $daemon)" != deinstall ] && [ "$(state $daemon)" != config-files ] || fail "$daemon was removed on the way back"
done
all_load theirs
tcpd_is theirs
whole
sshd_obeys theirs
echo "lifecycle: all is well"
