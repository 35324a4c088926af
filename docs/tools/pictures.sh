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
draw diff tcpwrap diff examples/mostly-closed examples/widened
