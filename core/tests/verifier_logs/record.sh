#!/bin/sh
# Records NAME.log for every NAME.c in this folder (or those named): compiles it with clang-19, lets
# bpftool load it (which the verifier refuses) and keeps what the kernel said. Needs root.
# Logs of a million instructions are cut to their last 60 lines, as a small log buffer would.
set -eu
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'umount "$work/bpf"; rm -r "$work"' EXIT
mkdir "$work/bpf"
mount -t bpf none "$work/bpf"
[ $# -gt 0 ] || set -- *.c
for source; do
	name=${source%.c}
	clang-19 -O2 -g -target bpf "-I/usr/include/$(uname -m)-linux-gnu" -c "$name.c" -o "$work/$name.o"
	# One log at level 2, with a register state after each instruction.
	debug=; [ "$name" != packet_short_check ] || debug=-d
	if bpftool $debug prog load "$work/$name.o" "$work/bpf/$name" type xdp >"$work/log" 2>&1; then
		echo "$name: the verifier takes it" >&2
	fi
	grep -v '^Warning: ' "$work/log" | tail -n 60 | sed "s|$work/||g" >"$name.log"
done
