//! libbpf's talk, captured per thread. Nothing of it goes to stderr.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};

use libbpf_sys::__va_list_tag;

use crate::printf;

thread_local! {
    /// The capture that runs on this thread. libbpf talks on the thread that called it.
    static CAPTURE: RefCell<Option<Capture>> = const { RefCell::new(None) };
}

/// What libbpf said.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    /// All of it.
    pub(crate) text: String,
    /// The first line of each warning, without libbpf's name in front.
    pub(crate) warnings: Vec<String>,
}

struct Capture {
    /// Whether debug messages are wanted too.
    debug: bool,
    talk: Talk,
}

impl Capture {
    /// Takes a message, whose bytes need not be UTF-8: it may quote a source line.
    fn add(&mut self, level: u32, message: &[u8]) {
        let message = String::from_utf8_lossy(message);
        if level == libbpf_sys::LIBBPF_WARN {
            let line = message.lines().next().unwrap_or_default();
            self.talk.warnings.push(line.strip_prefix("libbpf: ").unwrap_or(line).to_owned());
        }
        self.talk.text.push_str(&message);
    }
}

/// Runs `work` and gives its result with all that libbpf said meanwhile on this thread.
///
/// With `debug`, debug messages too: verifier logs of programs that load, relocations, probes.
pub(crate) fn capture<T>(debug: bool, work: impl FnOnce() -> T) -> (T, Talk) {
    silence();
    CAPTURE.set(Some(Capture { debug, talk: Talk::default() }));
    let result = work();
    (result, CAPTURE.take().map_or_else(Talk::default, |capture| capture.talk))
}

/// Takes libbpf's talk away from stderr, also outside a capture.
pub(crate) fn silence() {
    // SAFETY: `print` is a function that lives as long as the process.
    unsafe { libbpf_sys::libbpf_set_print(Some(print)) };
}

/// libbpf's print callback (`libbpf_print_fn_t`).
unsafe extern "C" fn print(level: u32, format: *const c_char, arguments: *mut __va_list_tag) -> c_int {
    CAPTURE.with_borrow_mut(|capture| match capture {
        Some(capture) if capture.debug || level != libbpf_sys::LIBBPF_DEBUG => {
            // SAFETY: libbpf gave both for this call.
            unsafe { printf::formatted(format, arguments, |message| capture.add(level, message)) };
        }
        _ => {}
    });
    0
}
