//! Why an object did not load: the telling line of the verifier's log, else libbpf's complaints.

use std::fmt;

use nix::libc;
use xdpilot_core::diagnose::telling;
use xdpilot_core::error::Error;

use crate::bpf;
use crate::libbpf_log::Talk;

/// A load that failed: the error, and all that libbpf and the verifier said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    /// The error, with the telling lines of the log and the errno.
    pub error: Error,
    /// The whole log.
    pub log: String,
}

impl LoadError {
    /// From libbpf's errno (of either sign) and its log. `what`: "load program P of O".
    pub(crate) fn new(what: String, errno: i32, talk: Talk) -> Self {
        let Talk { text: log, warnings } = talk;
        let verdict = telling(&log).map(|told| told.to_string());
        let error = match (errno.abs(), verdict.is_some()) {
            (libc::EPERM, false) => bpf::error(errno, what),
            _ => {
                let words = verdict.or_else(|| libbpf_words(&warnings)).unwrap_or_else(|| bpf::errno_text(errno));
                Error::failed(what).kernel(words).errno(errno)
            }
        };
        LoadError { error, log }
    }
}

impl From<LoadError> for Error {
    fn from(error: LoadError) -> Self {
        error.error
    }
}

impl From<Error> for LoadError {
    fn from(error: Error) -> Self {
        LoadError { error, log: String::new() }
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for LoadError {}

/// Parts of libbpf's warnings that tell no cause: what it puts up with, and that it failed.
const ASIDES: [&str; 7] = [
    "BPF program load failed",
    "failed to load: ",
    "failed to load object",
    "BTF is optional",
    "Retrying without BTF",
    "skipping all of .BTF.ext",
    "Failed to bump RLIMIT_MEMLOCK",
];

/// libbpf's complaints, where the verifier was not reached, without the [`ASIDES`].
fn libbpf_words(warnings: &[String]) -> Option<String> {
    let telling = |line: &&String| !ASIDES.iter().any(|aside| line.contains(aside));
    let lines: Vec<&str> = warnings.iter().filter(telling).map(String::as_str).take(4).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const REJECTED: &str = "libbpf: prog 'peek': BPF program load failed: -EACCES
libbpf: prog 'peek': -- BEGIN PROG LOAD LOG --
0: R1=ctx() R10=fp0
; void *data = (void *)(long)ctx->data; @ peek.c:7
0: (61) r1 = *(u32 *)(r1 +0)          ; R1_w=pkt(r=0)
; return *(unsigned char *)data; @ peek.c:8
1: (71) r0 = *(u8 *)(r1 +0)
invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0)
R1 offset is outside of the packet
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
-- END PROG LOAD LOG --
libbpf: prog 'peek': failed to load: -EACCES
libbpf: failed to load object 'peek.o'
";

    fn talk(text: &str, warnings: &[&str]) -> Talk {
        Talk { text: text.to_owned(), warnings: warnings.iter().map(|&line| line.to_owned()).collect() }
    }

    #[test]
    fn the_complaint_and_its_source_line_are_cut_out() {
        let error = LoadError::new("load program peek of peek.o".to_owned(), -libc::EACCES, talk(REJECTED, &[]));
        assert_eq!(
            error.error.kernel_words(),
            Some(
                "invalid access to packet, off=0 size=1, R1(id=0,off=0,r=0)\nat instruction 1\npeek.c:8: return *(unsigned char *)data;"
            )
        );
        assert_eq!(error.error.errno_value(), Some(libc::EACCES));
    }

    #[test]
    fn without_a_verifier_log_libbpf_speaks() {
        let warnings = [
            "Error loading .BTF into kernel: -22. BTF is optional, ignoring.",
            "Error in bpf_create_map_xattr(m): -EINVAL. Retrying without BTF.",
            "extern (func ksym) 'nope': not found in kernel or module BTFs",
            "failed to load object 'x.o'",
        ];
        let error = LoadError::new("load".to_owned(), -libc::ESRCH, talk("...", &warnings));
        assert_eq!(error.error.kernel_words(), Some("extern (func ksym) 'nope': not found in kernel or module BTFs"));
        let silent = LoadError::new("load".to_owned(), -libc::ENOMEM, Talk::default());
        assert_eq!(silent.error.kernel_words(), Some("Cannot allocate memory"));
    }

    #[test]
    fn a_cut_log_is_no_trouble() {
        for end in 0..REJECTED.len() {
            if let Some(part) = REJECTED.get(..end) {
                LoadError::new("load".to_owned(), -libc::EACCES, talk(part, &[]));
            }
        }
    }
}
