#!/bin/sh
# Threads that decide while their tables are edited, with all of the library, Rust's own included, built for
# ThreadSanitizer. Run by hand: it needs the nightly toolchain and its sources
# (rustup toolchain install nightly --component rust-src). Then a program that does race with the library, to show
# that it would be seen.
set -eu
cd "$(dirname "$0")/../.."
machine=$(rustc +nightly -vV | sed -n 's/^host: //p')
out=${CARGO_TARGET_DIR:-$PWD/target}/tsan
RUSTFLAGS="-Zsanitizer=thread" CARGO_TARGET_DIR=$out \
    cargo +nightly rustc -Zbuild-std --target "$machine" --package libwrap --lib --crate-type staticlib
runtime=$(rustc +nightly --print sysroot)/lib/rustlib/$machine/lib/librustc-nightly_rt.tsan.a

# build PROGRAM < SOURCE
build() {
    cc -x c - -DINET6 -O1 -g -fsanitize=thread -Icrates/libwrap/include -c -o "$out/$1.o"
    cc -pthread -rdynamic -o "$out/$1" "$out/$1.o" "$out/$machine/debug/liblibwrap.a" \
        -Wl,--whole-archive "$runtime" -Wl,--no-whole-archive -ldl -lm -lrt
}
build threads <tests/daemons/c/threads.c
TSAN_OPTIONS=exitcode=66 "$out/threads" "$out/allow" "$out/deny" 16 2000

# Writes to a path that the library reads.
sed 's/edits++;/edits++; hosts_deny_table[0] = argv[2][0];/' tests/daemons/c/threads.c | build racing
status=0
TSAN_OPTIONS=exitcode=66 "$out/racing" "$out/allow" "$out/deny" 4 200 >/dev/null 2>&1 || status=$?
[ "$status" = 66 ] || { echo "a race was not seen (exit status $status)" >&2; exit 1; }
echo "ThreadSanitizer reports nothing, and would have"
