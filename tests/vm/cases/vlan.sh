# A VLAN interface has no native XDP: said in words, and auto falls to generic.
veth_pair
ip link add link xv0 name xvlan type vlan id 5
ip addr add 10.9.5.1/24 dev xvlan
ip link set xvlan up
ip -n xpvm link add link xv1 name xvlan type vlan id 5
ip -n xpvm addr add 10.9.5.2/24 dev xvlan
ip -n xpvm link set xvlan up
reaches 10.9.5.2
refused 'vlan|driver' xdpilot load $DROP --on xvlan --mode native
mode_is xvlan none
says 'generic' xdpilot load $DROP --on xvlan --mode auto
mode_is xvlan xdpgeneric
silent 10.9.5.2
reaches 10.9.0.2
xdpilot unload --on xvlan
reaches 10.9.5.2
# The interface below has the native mode.
xdpilot load $DROP --on xv0 --mode native
silent 10.9.5.2
xdpilot unload --on xv0
ip link del xvlan
veth_gone
