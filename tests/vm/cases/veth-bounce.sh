# XDP_TX on a veth reaches the peer only where that has a program: load puts one there, unload takes it off.
veth_pair
ip -n xpvm neigh add 10.9.0.77 lladdr "$(cat /sys/class/net/xv0/address)" dev xv1
fails ip netns exec xpvm ping -c1 -W1 10.9.0.77
says 'xdpilot_pass' xdpilot load /objects/bounce.o --on xv0 --mode native
says 'xdpilot_pass' bpftool prog show
ip netns exec xpvm ping -c3 -W1 10.9.0.77
says 'xdpilot_pass' xdpilot unload --on xv0
fails ip netns exec xpvm ping -c1 -W1 10.9.0.77
veth_gone
