"""What the tools that flood interfaces with frames have in common: namespaces, frames, and the kernel's test run."""
import ctypes
import json
import os
import pathlib
import struct
import subprocess
import sys

LENGTH = 64
HERE = pathlib.Path(__file__).resolve().with_name("flood.d")
BPFFS = pathlib.Path("/sys/fs/bpf")
SOURCE_MAC, TARGET_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
TCP, UDP = 6, 17
SYN, ACK = 2, 16
# bpf(2) by its number, three of its commands, and a flag of the last.
BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
UPDATE, OBJECT, TEST_RUN = 2, 7, 10
LIVE_FRAMES = 2


def run(*command, text=""):
    words = [str(word) for word in command]
    done = subprocess.run(words, input=text, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(words)} failed: {done.stderr.strip()}")
    return done.stdout


def own_namespace():
    """Starts this script anew where nothing else is seen or touched, the names of namespaces neither."""
    if "XDPILOT_MEASURED" not in os.environ:
        os.environ["XDPILOT_MEASURED"] = "1"
        os.execvp("unshare", ["unshare", "--net", "--mount", sys.executable, *sys.argv])
    run("mount", "-t", "bpf", "bpf", BPFFS)
    pathlib.Path("/run/netns").mkdir(exist_ok=True)
    run("mount", "-t", "tmpfs", "tmpfs", "/run/netns")


def dotted(address):
    return ".".join(str(byte) for byte in address.to_bytes(4, "big"))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return 0xffff - ((total & 0xffff) + (total >> 16))


def frame(source, target, protocol, sequence=0, flags=SYN):
    """TCP or UDP with nothing in it, from address and port to address and port, in a frame of the least length."""
    ports = struct.pack("!HH", source[1], target[1])
    length = 20 if protocol == TCP else LENGTH - 34
    pseudo = struct.pack("!IIHH", source[0], target[0], protocol, length)
    if protocol == TCP:
        rest = struct.pack("!IIBBHHH", sequence, 0, 0x50, flags, 0xffff, 0, 0)
        rest = rest[:12] + struct.pack("!H", checksum(pseudo + ports + rest)) + rest[14:]
    else:
        rest = struct.pack("!HH", length, 0) + bytes(length - 8)
    header = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + length, 0, 0x4000, 64, protocol, 0, source[0], target[0])
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    macs = bytes.fromhex((TARGET_MAC + SOURCE_MAC).replace(":", ""))
    return (macs + b"\x08\x00" + header + ports + rest).ljust(LENGTH, b"\0")


def inside(namespace, *command, text=""):
    return run("ip", "netns", "exec", namespace, *command, text=text)


def far_end(namespace, near, home=None):
    """A veth pair from `near` (in the namespace `home`) to `in`, in a namespace of its own."""
    run("ip", "netns", "add", namespace)
    run("ip", *(["-n", home] if home else []), "link", "add", near, "address", SOURCE_MAC, "type", "veth",
        "peer", "name", "in", "address", TARGET_MAC, "netns", namespace)
    # With GRO the end takes frames without a program too, as network cards do.
    inside(namespace, "ethtool", "-K", "in", "gro", "on")
    for file in ["all/rp_filter", "default/rp_filter", "in/rp_filter"]:
        inside(namespace, "sh", "-c", f"echo 0 >/proc/sys/net/ipv4/conf/{file}")
    for where, end in [(home, near), (namespace, "in")]:
        command = ["ip", *(["-n", where] if where else []), "link", "set", end]
        run(*command, "addrgenmode", "none")
        run(*command, "up")


def bpf(command, attributes):
    done = ctypes.CDLL(None, use_errno=True).syscall(BPF, command, attributes, len(attributes))
    if done < 0:
        sys.exit(f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return done


def pinned(path):
    name = ctypes.create_string_buffer(str(path).encode())
    return bpf(OBJECT, struct.pack("=QII", ctypes.addressof(name), 0, 0))


def update(map, key, value):
    key, value = ctypes.create_string_buffer(struct.pack("=I", key)), ctypes.create_string_buffer(value)
    bpf(UPDATE, struct.pack("=IIQQQ", map, 0, ctypes.addressof(key), ctypes.addressof(value), 0))


class Redirect:
    """The kernel's test run of a program that redirects frames, as a driver has them before the stack does."""

    def __init__(self, xdpilot, folder, frames, fresh=False):
        """With `fresh`, frames of another pass come from other clients."""
        name = "fresh" if fresh else "frames"
        source, target, place = folder / f"{name}.c", folder / f"{name}.o", BPFFS / name
        source.write_text(f"#define FRAMES {len(frames)}\n" + "#define FRESH\n" * fresh
                          + f'#include "{HERE}/frames.c"\n')
        run(xdpilot, "compile", source, "-o", target)
        maps = BPFFS / f"{name}-maps"
        run("bpftool", "prog", "load", target, place, "type", "xdp", "pinmaps", maps)
        self.program, self.state = pinned(place), pinned(maps / "state")
        self.data = ctypes.create_string_buffer(frames[0], LENGTH)
        trace = pinned(maps / "trace")
        for at, content in enumerate(frames):
            update(trace, at, content)

    def aim(self, near, sent=0):
        """The next frames go through this interface, as if so many had been sent."""
        number = json.loads(run("ip", "-j", "link", "show", near))[0]["ifindex"]
        update(self.state, 0, struct.pack("=II", number, sent))

    def send(self, packets):
        """Nanoseconds a packet, by the kernel's clock, which leaves out what the call does before and behind."""
        attributes = ctypes.create_string_buffer(struct.pack(
            "=IIIIQQIIIIQQIIII", self.program, 0, LENGTH, 0, ctypes.addressof(self.data), 0, packets, 0, 0, 0, 0, 0,
            LIVE_FRAMES, 0, 0, 0))
        bpf(TEST_RUN, attributes)
        return struct.unpack_from("=I", attributes, 36)[0]
