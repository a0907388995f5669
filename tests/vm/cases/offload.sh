# Offload is passed on to the driver, and its refusal explained.
veth_pair
refused 'offload' xdpilot load $DROP --on xv0 --mode offload
mode_is xv0 none
veth_gone
