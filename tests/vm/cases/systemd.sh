# The packaged units under systemd: the sandbox lets the agent do its work, and what is attached outlives each of its ends.
veth_pair
second_pair
for family in 4 6; do echo 1 >/proc/sys/net/ipv$family/conf/all/forwarding; done
mkdir -p /tmp/www /usr/local/bin
echo served >/tmp/www/index.html
ln -s /bin/xdpilot /usr/local/bin/xdpilot
echo 0123456789abcdef0123456789abcdef >/etc/machine-id

# systemd is the first process of a container that has the guest's network. Mounts come through to it, as they do from an
# administrator's shell.
mount --make-rshared /
container=vm unshare --mount --propagation slave --pid --fork --mount-proc sh -c \
    'mount --make-rshared /; exec /usr/lib/systemd/systemd --system --unit=multi-user.target --show-status=no' </dev/null &
# Runs a command, each some 0.2 s, until it is well: 20 s at most.
until_well() {
    for _ in $(seq 100); do "$@" && return; usleep 200000; done
    return 1
}
until_well [ -S /run/systemd/private ]
until_well pidof systemd
inside() { nsenter -t "$(pidof systemd)" -m -p "$@"; }
ctl() { inside /bin/systemctl "$@"; }
# What the unit's property is.
is() { [ "$(ctl show -P "$1" xdpilot-agent.service)" = "$2" ]; }
served() { [ "$(ip netns exec xpvm timeout 5 wget -q -O - "http://$1/")" = served ]; }
links() { bpftool link show | grep '^[0-9]*: xdp' | sort; }

ctl enable --now xdpilot-agent.socket xdpilot-agent.service
is ActiveState active
[ "$(stat -c '%a %u' /var/lib/xdpilot/agent.sock)" = '600 0' ]
[ "$(stat -c '%a %u' /var/lib/xdpilot)" = '700 0' ]
# NET_BROADCAST (11), NET_ADMIN (12), NET_RAW (13), SYS_PTRACE (19), SYS_ADMIN (21); a filter of system calls.
says 'CapBnd:.0000000000283800' cat "/proc/$(pidof xdpilot)/status"
says 'Seccomp:.2' cat "/proc/$(pidof xdpilot)/status"

# On an interface, in a namespace that comes after the agent, and to backends that are checked: one directly, one by the way
# of the service's packets, which answers at the service's address alone.
xdpilot apply --wait -f - <<POLICY
policy edge on xv0 { drop when icmp }
POLICY
silent 10.9.0.2
ip netns add late
ip -n late link set lo up
ip netns exec late ping -c1 -W1 127.0.0.1
echo 'policy late on netns:late/lo { drop when icmp }' | xdpilot apply --wait -f -
fails ip netns exec late ping -c1 -W1 127.0.0.1
xdpilot apply --wait -f - <<POLICY
pool web via nat {
  10.8.0.2:8080
  check http "/" every 200ms
}
pool near via l2 {
  10.8.0.2
  check http "/" port 80 every 200ms
}
policy edge on xv0 {
  drop when icmp
  route web when dst host 10.7.0.1 and tcp dst port 80
  route near when dst host 10.7.0.5 and tcp dst port 80
}
POLICY
condition() { says "10.8.0.2$2 +1 +$3" xdpilot pool show "$1"; }
until_well condition web :8080 down
until_well condition near '' down
ip -n xpsv addr add 10.7.0.5/32 dev lo
ip netns exec xpsv httpd -f -p 8080 -h /tmp/www &
web=$!
ip netns exec xpsv httpd -f -p 10.7.0.5:80 -h /tmp/www &
near=$!
until_well condition web :8080 up
served 10.7.0.1
# Before Linux 6.6 it is asked at its own address, where it does not listen.
if [ "$(uname -r | cut -d. -f1,2)" != 6.1 ]; then
    until_well condition near '' up
    served 10.7.0.5
fi
until_well says 'StatusText=revision [0-9]+: 2 in force$' ctl show -p StatusText xdpilot-agent.service
before=$(links)

# It restarts, is killed, and hangs; packets do not feel it, and who asks waits.
ctl restart xdpilot-agent.service
says 'xv0: policy edge in force' xdpilot get nodes
served 10.7.0.1
kill -9 "$(pidof xdpilot)"
says 'xv0: policy edge in force' xdpilot get nodes
is NRestarts 1
mkdir -p /etc/systemd/system/xdpilot-agent.service.d
printf '[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n' >/etc/systemd/system/xdpilot-agent.service.d/soon.conf
ctl daemon-reload
ctl restart xdpilot-agent.service
kill -STOP "$(pidof xdpilot)"
says 'xv0: policy edge in force' xdpilot get nodes
is NRestarts 1
served 10.7.0.1

# Stopped, it leaves all as it is; a question begins it.
ctl stop xdpilot-agent.service
[ -z "$(pidof xdpilot)" ]
silent 10.9.0.2
served 10.7.0.1
[ "$(links)" = "$before" ]
says 'xv0: policy edge in force' xdpilot get nodes
is ActiveState active

for policy in edge late; do xdpilot delete policy "$policy"; done
xdpilot wait --timeout 20
reaches 10.9.0.2
ctl disable --now xdpilot-agent.service xdpilot-agent.socket
[ ! -e /var/lib/xdpilot/agent.sock ]
kill "$web" "$near"
kill -9 "$(pidof systemd)"
wait
rm -rf /var/lib/xdpilot
for family in 4 6; do echo 0 >/proc/sys/net/ipv$family/conf/all/forwarding; done
second_gone
ip netns del late
veth_gone
