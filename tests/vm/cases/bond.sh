# A program on a bond runs for all its slaves; bond and slave may not both have one.
ip netns add xpvm
ip -n xpvm link add xbr type bridge
ip -n xpvm addr add 10.9.0.2/24 dev xbr
ip -n xpvm link set xbr up
for n in 0 1 2; do
    ip link add xs$n type veth peer name xp$n netns xpvm
    ip -n xpvm link set xp$n master xbr up
done
for mode in active-backup balance-rr; do
    ip link add xbond type bond mode $mode miimon 100
    ip link set xs0 master xbond
    ip link set xs1 master xbond
    ip addr add 10.9.0.1/24 dev xbond
    ip link set xbond up
    reaches 10.9.0.2

    xdpilot load $DROP --on xbond --mode native
    mode_is xbond xdp
    silent 10.9.0.2
    refused 'bond|upper' xdpilot load $PASS --on xs0 --mode native
    xdpilot unload --on xbond
    mode_is xbond none
    reaches 10.9.0.2

    # A slave that has a program is not taken into a bond that has one.
    xdpilot load $PASS --on xs2 --mode native
    xdpilot load $PASS --on xbond --mode native
    refused 'slave has xdp program' ip link set xs2 master xbond
    xdpilot unload --on xs2
    xdpilot unload --on xbond
    ip link del xbond
done
for n in 0 1 2; do ip link del xs$n; done
ip netns del xpvm
