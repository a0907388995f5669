# The same in generic mode.
veth_pair
xdpilot load $DROP --on xv0 --mode generic
mode_is xv0 xdpgeneric
silent 10.9.0.2
xdpilot unload --on xv0
mode_is xv0 none
reaches 10.9.0.2
veth_gone
