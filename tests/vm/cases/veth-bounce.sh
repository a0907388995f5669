# XDP_TX on a veth reaches the peer (which needs a program or GRO for it), and unload puts GRO back.
veth_pair
ip netns exec xpvm ethtool -k xv1 >/tmp/features
ip -n xpvm neigh add 10.9.0.77 lladdr "$(cat /sys/class/net/xv0/address)" dev xv1
fails ip netns exec xpvm ping -c1 -W1 10.9.0.77
xdpilot load /objects/bounce.o --on xv0 --mode native
ip netns exec xpvm ping -c3 -W1 10.9.0.77
xdpilot unload --on xv0
fails ip netns exec xpvm ping -c1 -W1 10.9.0.77
ip netns exec xpvm ethtool -k xv1 | diff /tmp/features -
veth_gone
