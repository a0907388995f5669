# Large sets are tables: they are loaded, changed and replaced while they run.
veth_pair
for number in $(seq 1500); do
    echo "172.16.$((number / 256)).$((number % 256)) 2001:db8:$number::/48 198.18.$((number % 256)).0/24"
done >/tmp/many
{ cat /tmp/many; echo 10.9.0.2; } >/tmp/more
echo 'set bad = file "many"
drop when src in bad or dst in bad' >/tmp/sets.xdp
says 'IPv6 addresses of set bad take' xdpilot load /tmp/sets.xdp --on xv0
reaches 10.9.0.2
xdpilot set add bad 10.9.0.2
silent 10.9.0.2
xdpilot set del bad 10.9.0.2
reaches 10.9.0.2
xdpilot set add bad 10.0.0.0/8
silent 10.9.0.2
says '2001:db8:1500::/48' xdpilot set list bad
xdpilot set replace bad /tmp/many
reaches 10.9.0.2
says 'and has 3257' xdpilot set replace bad /tmp/more
silent 10.9.0.2
xdpilot unload --on xv0
veth_gone
