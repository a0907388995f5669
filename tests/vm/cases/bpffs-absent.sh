# Where no bpffs is mounted a program stays attached after the command all the same.
veth_pair
umount /sys/fs/bpf
xdpilot load $DROP --on xv0 --mode native
silent 10.9.0.2
xdpilot unload --on xv0
reaches 10.9.0.2
grep -q ' /sys/fs/bpf ' /proc/mounts || mount -t bpf bpf /sys/fs/bpf
veth_gone
