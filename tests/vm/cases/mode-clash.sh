# Native and generic cannot be active at the same time: said in words.
veth_pair
ip link set dev xv0 xdp obj $PASS sec xdp
refused 'native' xdpilot load $DROP --on xv0 --mode generic
mode_is xv0 xdp
ip link set dev xv0 xdp off
veth_gone
