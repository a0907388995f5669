# The e1000 driver has no native XDP: said in words, and auto falls to generic saying so.
nic=$(card e1000)
ip addr add 10.0.2.15/24 dev "$nic"
ip link set "$nic" up
reaches 10.0.2.2
refused 'driver.*native|native.*driver' xdpilot load $DROP --on "$nic" --mode native
mode_is "$nic" none
says 'generic' xdpilot load $DROP --on "$nic" --mode auto
mode_is "$nic" xdpgeneric
silent 10.0.2.2
xdpilot unload --on "$nic"
mode_is "$nic" none
reaches 10.0.2.2
ip addr del 10.0.2.15/24 dev "$nic"
