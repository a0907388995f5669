//! A shell that starts something and ends it when this process lets go of it, be it by a SIGKILL.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running script, which waits for the end of its standard input before it cleans up.
///
/// Not PR_SET_PDEATHSIG: that fires at the end of the thread that started the child, and each test is a thread.
pub(crate) struct Watchdog(Child);

impl Watchdog {
    /// Runs `start` (it may put a process in the background), waits for the end, runs `stop`. Both are POSIX shell
    /// and see `$dir`; their output goes to `$dir/log`, and `$dir` itself is removed last.
    pub(crate) fn start(dir: &Path, start: &str, stop: &str) -> Self {
        use std::os::unix::process::CommandExt;
        let script =
            format!("dir={}\nexec >\"$dir/log\" 2>&1\n{start}\nread -r _\n{stop}\nrm -rf \"$dir\"", dir.display());
        // A process group of its own: Ctrl-C in the terminal must not reach it before its work is done.
        let child = Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).process_group(0).spawn().unwrap();
        Watchdog(child)
    }

    /// Panics if the script has come to its end, as it does when it cannot start.
    pub(crate) fn assert_alive(&mut self) {
        assert_eq!(self.0.try_wait().unwrap(), None, "the watchdog has ended");
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nothing to be done about a failure in a drop, which may run while a test panics.
        let _ = self.0.wait();
    }
}
