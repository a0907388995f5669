# A native program on a veth drops while it is attached, and not a moment longer.
veth_pair
reaches 10.9.0.2
xdpilot load $DROP --on xv0 --mode native
mode_is xv0 xdp
silent 10.9.0.2
xdpilot unload --on xv0
mode_is xv0 none
reaches 10.9.0.2
veth_gone
