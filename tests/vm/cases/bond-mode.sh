# In broadcast mode a bond has no native XDP: said in words, and auto falls to generic.
veth_pair
ip addr flush dev xv0
ip link set xv0 down
ip link add xbond type bond mode broadcast
ip link set xv0 master xbond
ip addr add 10.9.0.1/24 dev xbond
ip link set xbond up
reaches 10.9.0.2
refused 'bond' xdpilot load $DROP --on xbond --mode native
mode_is xbond none
says 'generic' xdpilot load $DROP --on xbond --mode auto
mode_is xbond xdpgeneric
silent 10.9.0.2
xdpilot unload --on xbond
reaches 10.9.0.2
ip link del xbond
veth_gone
