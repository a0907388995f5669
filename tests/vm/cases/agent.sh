# An agent on a machine whose clock jumps: what the store says is attached all the same, and nothing is left.
veth_pair
hostname vm
export XDPILOT_STATE=/tmp/state
# Sets the clock wrong by so many seconds.
uptime() { cut -d. -f1 /proc/uptime; }
began=$(($(date +%s) - $(uptime)))
clock() { date -s "@$((began + $(uptime) + $1))"; }
# What the policy is, which all nodes have then.
rules() { echo "policy edge on xv0 { $1 }" | xdpilot apply -f - && xdpilot wait --timeout 20; }
# The agent runs, and takes commands.
start() {
    xdpilot agent &
    agent=$!
    for _ in $(seq 20); do [ -S /tmp/state/agent.sock ] && return; usleep 500000; done
    return 1
}
link() { ls /sys/fs/bpf/xdpilot/link-*; }

start
rules 'drop when icmp'
silent 10.9.0.2
for jump in 86400 -86400 -40000000 3; do
    clock "$jump"
    rules 'pass when icmp'
    reaches 10.9.0.2
    rules 'drop when icmp'
    silent 10.9.0.2
    says '^vm ' xdpilot get nodes
done

# It jumps while no agent runs, and one was killed.
kill -9 "$agent"
wait "$agent" || true
silent 10.9.0.2
clock -600
before=$(link)
rm -f /tmp/state/agent.sock
start
rules 'pass when udp; drop when icmp'
[ "$(link)" = "$before" ]
silent 10.9.0.2

# Where it cannot pin, a policy is not attached, and the reason is told; once it can, it is.
mount -o remount,ro /sys/fs/bpf
echo 'policy near on lo { drop when icmp }' | xdpilot apply -f -
refused 'policy near at lo' xdpilot wait --timeout 5
says 'kernel: Read-only file system' xdpilot get nodes
says 'ReadWritePaths=/sys/fs/bpf' xdpilot get nodes
silent 10.9.0.2
mode_is lo none
ping -c1 -W1 127.0.0.1
mount -o remount,rw /sys/fs/bpf
xdpilot wait --timeout 40
fails ping -c1 -W1 127.0.0.1
xdpilot delete policy near

clock 0
xdpilot delete policy edge
xdpilot wait --timeout 20
reaches 10.9.0.2
mode_is xv0 none
kill "$agent"
wait "$agent"
rm -rf /tmp/state
veth_gone
