#!/bin/sh
# Makes the pictures in docs/img from what the programs really print. Run from the root of the repository, after
# cargo build --release. To look at one: rsvg-convert docs/img/check.svg -o /tmp/check.png
set -eu
PATH=$PWD/target/${PROFILE:-release}:$PATH
draw() {
    picture=docs/img/$1.svg
    shift
    docs/tools/term2svg.py "$picture" --columns 96 -- "$@"
}
draw check tcpwrap check --rules examples/mistakes
draw explain tcpwrap explain --rules examples/mistakes sshd 203.0.113.9
# An edit that lets in more than it seems to.
new=$(mktemp -d)
trap 'rm -r "$new"' EXIT
cp examples/mostly-closed/hosts.* "$new"
sed -i 's|192.0.2.16/28|192.0.2.0/27|' "$new/hosts.allow"
docs/tools/term2svg.py docs/img/diff.svg --columns 96 --show 'tcpwrap diff examples/mostly-closed /tmp/new' -- \
    tcpwrap diff examples/mostly-closed "$new"
