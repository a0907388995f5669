//! What the tests that need root share: things with names of their own that vanish with the test.

use std::{
    os::fd::{FromRawFd, OwnedFd},
    process::{Command, id},
};

use xdpilot_kernel::{
    namespace::Namespace,
    netns_directory,
    veth::{self, End, Settings},
};

/// A named network namespace that is deleted with this value, and every interface in it.
pub(crate) struct Net {
    pub(crate) name: String,
    pub(crate) namespace: Namespace,
}

impl Net {
    /// The suffix tells the namespaces of one test process apart.
    pub(crate) fn new(suffix: &str) -> Net {
        let name = format!("xp{}{suffix}", id());
        let namespace = netns_directory::create(&name).unwrap();
        Net { name, namespace }
    }

    /// Runs a command inside and returns what it prints; fails the test when the command fails.
    pub(crate) fn output(&self, command: &str) -> String {
        output(&format!("ip netns exec {} {command}", self.name))
    }

    /// An end of a veth pair in here.
    pub(crate) fn end<'a>(&'a self, name: &'a str) -> End<'a> {
        End { namespace: &self.namespace, name, mac: None }
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        // A test may have deleted it already.
        let _ = netns_directory::delete(&self.name);
    }
}

/// Two namespaces with a veth pair between them: `left` in the first, `right` in the second.
pub(crate) fn pair(suffix: &str, settings: Settings) -> (Net, Net) {
    let nets = (Net::new(&format!("{suffix}l")), Net::new(&format!("{suffix}r")));
    veth::create(nets.0.end("left"), nets.1.end("right"), settings).unwrap();
    nets
}

/// Runs a command line of words without quotes.
pub(crate) fn output(line: &str) -> String {
    let mut words = line.split_whitespace();
    let output = Command::new(words.next().unwrap()).args(words).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Loads the XDP program `return verdict;`.
pub(crate) fn program(verdict: i32) -> OwnedFd {
    let instruction = |code: u8, imm: i32| {
        let mut instruction = libbpf_sys::bpf_insn { code, imm, ..Default::default() };
        instruction.set_dst_reg(0);
        instruction
    };
    // BPF_ALU64 | BPF_MOV | BPF_K, then BPF_JMP | BPF_EXIT.
    let instructions = [instruction(0xb7, verdict), instruction(0x95, 0)];
    // SAFETY: the name and license are NUL-terminated, the instructions outlive the call, no options.
    let fd = unsafe {
        libbpf_sys::bpf_prog_load(
            libbpf_sys::BPF_PROG_TYPE_XDP,
            c"xp_verdict".as_ptr(),
            c"Dual MIT/GPL".as_ptr(),
            instructions.as_ptr(),
            instructions.len() as libbpf_sys::size_t,
            std::ptr::null_mut(),
        )
    };
    assert!(fd >= 0, "load: {}", std::io::Error::from_raw_os_error(-fd));
    // SAFETY: the call has just returned this descriptor, and nothing else owns it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}
