# An interface that goes takes its program along; what stays is cleaned by the next unload.
veth_pair
xdpilot load $DROP --on xv0 --mode native
veth_gone
veth_pair
xdpilot load $DROP --on xv0 --mode native
silent 10.9.0.2
xdpilot unload --on xv0
reaches 10.9.0.2
veth_gone
