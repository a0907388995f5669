# The program of an interface below a VLAN does not stop one on the VLAN.
veth_pair
ip link add link xv0 name xvlan type vlan id 5
xdpilot load $PASS --on xv0 --mode native
xdpilot load $PASS --on xvlan --mode generic
xdpilot unload --on xvlan
xdpilot unload --on xv0
ip link del xvlan
veth_gone
