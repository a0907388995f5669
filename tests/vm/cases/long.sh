# A policy that is too long to be followed at once: rules that test sets and payloads, and rewrite, one by one.
veth_pair
{
    for number in $(seq 12); do
        echo "set s$number = { 10.8.$number.0/24 }"
    done
    for number in $(seq 60); do
        echo "drop when src in s$((number % 12 + 1)) and ip[8] = $number"
    done
    for number in $(seq 300); do
        echo "set ttl $((number % 200 + 20)) when icmp and ip[1] = $((number % 250 + 1)) and ip[4:2] = $number"
    done
    for number in $(seq 500); do
        echo "drop when payload starts \"GET /$number\""
    done
    echo 'drop when icmp and src host 10.9.0.2'
} >/tmp/long.xdp
xdpilot load /tmp/long.xdp --on xv0
silent 10.9.0.2
says 'drop when icmp and src host 10.9.0.2: [1-9]' xdpilot status --on xv0
sed '$d' /tmp/long.xdp >/tmp/longer.xdp
xdpilot load /tmp/longer.xdp --on xv0 --replace
reaches 10.9.0.2
xdpilot unload --on xv0
veth_gone
