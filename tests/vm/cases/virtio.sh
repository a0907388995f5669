# virtio-net runs a program natively, which auto chooses.
nic=$(card virtio_net)
ip addr add 10.0.3.15/24 dev "$nic"
ip link set "$nic" up
reaches 10.0.3.2
xdpilot load $DROP --on "$nic"
mode_is "$nic" xdp
silent 10.0.3.2
xdpilot unload --on "$nic"
mode_is "$nic" none
reaches 10.0.3.2
ip addr del 10.0.3.15/24 dev "$nic"
