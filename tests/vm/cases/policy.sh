# A policy of everything that needs the kernel's help is taken, decides, counts, and its set changes while it runs.
veth_pair
reaches 10.9.0.2
xdpilot load -e 'drop when icmp' --on xv0
silent 10.9.0.2
says 'drop when icmp: [1-9]' xdpilot status --on xv0
cat >/tmp/policy.xdp <<POLICY
set bad = { 10.9.0.3 }
limit 1000/s per src,dst port when udp or icmp
set ttl 9 when icmp
sample 1/10 when udp
drop when ip6 protochain 6
drop when src in bad
POLICY
for number in $(seq 20); do
    echo "drop when src host 10.9.1.$number and tcp dst port $number" >>/tmp/policy.xdp
done
xdpilot load /tmp/policy.xdp --on xv0 --replace
reaches 10.9.0.2
xdpilot set add bad 10.9.0.2
silent 10.9.0.2
xdpilot set del bad 10.9.0.2
reaches 10.9.0.2
xdpilot unload --on xv0
mode_is xv0 none
veth_gone
