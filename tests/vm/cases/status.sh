# What is attached where, in which mode, as text and as JSON; nothing of it after unload.
veth_pair
xdpilot load $PASS --on xv0 --mode native
xdpilot load $DROP --on netns:xpvm/xv1 --mode generic
says 'xv0.*native' xdpilot status --on xv0
says 'pass' xdpilot status --on xv0
says '"pass"' xdpilot status --on xv0 --json
id=$(bpftool prog show name pass | sed -n '1s/:.*//p')
says "\"id\": *$id[^0-9]" xdpilot status --on xv0 --json
says 'generic' xdpilot status --on netns:xpvm/xv1 --json
says '"xv0"' xdpilot status --json
xdpilot unload --on netns:xpvm/xv1
xdpilot unload --on xv0
xdpilot status --json >/tmp/said
fails grep -e '"pass"' -e '"main"' /tmp/said
veth_gone
