# A packet of the peer must fit into a page, unless the program takes fragments.
veth_pair
ip -n xpvm link set xv1 mtu 9000
refused 'mtu' xdpilot load $DROP --on xv0 --mode native
mode_is xv0 none
reaches 10.9.0.2
ip -n xpvm link set xv1 mtu 1500
xdpilot load $DROP --on xv0 --mode native
silent 10.9.0.2
xdpilot unload --on xv0
veth_gone
