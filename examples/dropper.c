// Drops every packet: the smallest XDP program there is.
//
// It has no section name, so the compiler puts `main` into `.text`, where most loaders do not look
// for a program; xdpilot takes it as it stands. ARP is dropped too: nothing at all comes in.
//
//     xdpilot load examples/dropper.c --on docker:web

#include <linux/bpf.h>

int main() { return XDP_DROP; }
