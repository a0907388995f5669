# Words that the cases share. A case runs under `sh -eux`: the first command that fails ends it.

DROP=/objects/dropper.o
PASS=/objects/pass.o

# Makes the veth pair xv0 (here, 10.9.0.1) and xv1 (10.9.0.2, in namespace xpvm).
# Words in $1 and $2 are given to `ip link` for xv0 and xv1.
veth_pair() {
    ip netns add xpvm
    ip link add xv0 ${1-} type veth peer name xv1 netns xpvm ${2-}
    ip addr add 10.9.0.1/24 dev xv0
    ip link set xv0 up
    ip -n xpvm addr add 10.9.0.2/24 dev xv1
    ip -n xpvm link set xv1 up
}

# Makes the pair xs0 (here, 10.8.0.1) and xs1 (10.8.0.2, in namespace xpsv), and this machine the router between xpsv and
# xpvm.
second_pair() {
    ip netns add xpsv
    ip link add xs0 type veth peer name xs1 netns xpsv
    ip addr add 10.8.0.1/24 dev xs0
    ip link set xs0 up
    ip -n xpsv addr add 10.8.0.2/24 dev xs1
    ip -n xpsv link set xs1 up
    ip -n xpsv route add default via 10.8.0.1
    ip -n xpvm route add default via 10.9.0.1
}

# Takes the pair and its namespace away.
veth_gone() { ip link del xv0 && ip netns del xpvm; }
second_gone() { ip link del xs0 && ip netns del xpsv; }

# The address answers within 10 s (a new link may need a moment).
reaches() {
    for _ in $(seq 10); do ping -c1 -W1 "$1" && return; done
    return 1
}

# The address does not answer a ping.
silent() { fails ping -c1 -W1 "$1"; }

# The command fails.
fails() { if "$@"; then return 1; fi; }

# Runs a command, shows its output and keeps it in /tmp/said; that matches WORDS (a regular expression, any case).
said() {
    words=$1
    shift
    status=0
    "$@" >/tmp/said 2>&1 || status=$?
    cat /tmp/said
    grep -qiE -- "$words" /tmp/said
}

# says WORDS COMMAND...: the command succeeds with these words; refused: it fails with them, by an exit code of its own.
says() { said "$@" && [ "$status" = 0 ]; }
refused() { said "$@" && [ "$status" -ge 1 ] && [ "$status" -le 4 ]; }

# The interface has a program in this mode, says ip: xdp (native), xdpgeneric, or none.
mode_is() {
    mode=$(ip -o link show dev "$1" | sed -n 's/.* mtu [0-9]* \(xdp[a-z]*\) .*/\1/p')
    [ "${mode:-none}" = "$2" ]
}

# Prints the name of the network card that this driver runs.
card() {
    for interface in /sys/class/net/*; do
        case $(readlink -f "$interface/device/driver") in
            */"$1") basename "$interface" ;;
        esac
    done
}
