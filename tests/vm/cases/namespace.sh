# An interface in a named namespace is reached from outside; with no bpffs in its mount namespace, too.
veth_pair
xdpilot load $DROP --on netns:xpvm/xv1 --mode native
silent 10.9.0.2
says 'main' xdpilot status --on netns:xpvm/xv1
xdpilot unload --on netns:xpvm/xv1
reaches 10.9.0.2
# `ip netns exec` mounts a new /sys, on which there is no bpffs.
ip netns exec xpvm xdpilot load $DROP --on xv1 --mode native
silent 10.9.0.2
ip netns exec xpvm xdpilot unload --on xv1
reaches 10.9.0.2
veth_gone
