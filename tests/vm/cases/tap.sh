# A tap interface has native XDP.
ip tuntap add xtap mode tap
ip link set xtap up
xdpilot load $PASS --on xtap --mode native
mode_is xtap xdp
xdpilot unload --on xtap
mode_is xtap none
ip link del xtap
