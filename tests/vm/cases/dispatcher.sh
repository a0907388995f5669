# libxdp's dispatcher (freplace): status opens it and lists the programs in it; unload takes all off,
# and the pins that libxdp made for them.
veth_pair
xdp-loader load -m native xv0 $PASS /objects/udp.o
says 'xdp_dispatcher' xdp-loader status xv0
reaches 10.9.0.2
xdpilot status --on xv0 >/tmp/status
cat /tmp/status
grep -q pass /tmp/status
grep -q udp /tmp/status
xdpilot status --on xv0 --json >/tmp/status
grep -q '"pass"' /tmp/status
refused 'dispatcher|libxdp|replace' xdpilot load $DROP --on xv0 --mode native
says 'xdp_dispatcher' xdp-loader status xv0
ls /sys/fs/bpf/xdp/dispatch-*
xdpilot unload --on xv0
mode_is xv0 none
fails ls /sys/fs/bpf/xdp
veth_gone
