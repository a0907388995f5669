# A program that `ip` attached is not replaced unasked, and replaced or taken off when asked.
veth_pair
ip link set dev xv0 xdp obj $PASS sec xdp
says 'pass' xdpilot status --on xv0
refused 'replace' xdpilot load $DROP --on xv0 --mode native
says 'name pass' bpftool prog show
reaches 10.9.0.2
xdpilot load $DROP --on xv0 --mode native --replace
silent 10.9.0.2
xdpilot unload --on xv0
mode_is xv0 none
ip link set dev xv0 xdpgeneric obj $PASS sec xdp
xdpilot unload --on xv0
mode_is xv0 none
veth_gone
