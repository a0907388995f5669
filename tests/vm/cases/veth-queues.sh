# Each transmit queue of the peer needs a receive queue here.
veth_pair 'numtxqueues 1 numrxqueues 1' 'numtxqueues 4 numrxqueues 4'
refused 'queue' xdpilot load $DROP --on xv0 --mode native
mode_is xv0 none
ip netns exec xpvm ethtool -L xv1 tx 1
xdpilot load $DROP --on xv0 --mode native
silent 10.9.0.2
xdpilot unload --on xv0
veth_gone
