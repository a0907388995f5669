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

# Takes the pair and its namespace away.
veth_gone() {
    ip link del xv0
    ip netns del xpvm
}

# The address answers within 10 s (a new link may need a moment).
reaches() {
    for _ in $(seq 10); do
        if ping -c1 -W1 "$1"; then return; fi
    done
    return 1
}

# The address answers none of three pings.
silent() { fails ping -c3 -i1 -W1 "$1"; }

# The command fails.
fails() { if "$@"; then return 1; fi; }

# refused WORDS COMMAND...: the command fails and its output matches WORDS (a regular expression, any case).
refused() {
    words=$1
    shift
    if "$@" >/tmp/said 2>&1; then status=0; else status=$?; fi
    cat /tmp/said
    [ "$status" != 0 ]
    grep -qiE -- "$words" /tmp/said
}

# says WORDS COMMAND...: the command succeeds and its output matches WORDS.
says() {
    words=$1
    shift
    "$@" >/tmp/said 2>&1 || { cat /tmp/said; return 1; }
    cat /tmp/said
    grep -qiE -- "$words" /tmp/said
}

# The interface has a program in this mode, says ip: xdp (native), xdpgeneric, or none.
mode_is() {
    case $2 in
        none) fails dash -c "ip -d link show dev '$1' | grep -q 'prog/xdp'" ;;
        *) ip -d link show dev "$1" | grep -q "prog/$2 " ;;
    esac
}

# Prints the name of the network card that this driver runs.
card() {
    for interface in /sys/class/net/*; do
        case $(readlink -f "$interface/device/driver") in
            */"$1") basename "$interface" ;;
        esac
    done
}
