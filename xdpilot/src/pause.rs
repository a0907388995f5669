//! Waiting until a signal ends it.

use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};
use xdpilot_core::error::{Error, Result};

/// Waits that an interrupt (Ctrl-C, SIGTERM, SIGHUP) ends, so that what was begun is put back.
///
/// Its descriptor is readable where a signal came.
#[derive(Debug)]
pub struct Pause {
    wake: UnixStream,
    handlers: Vec<SigId>,
}

impl Pause {
    /// From now on these signals end waits, not the process.
    ///
    /// # Errors
    /// The system has no descriptors left.
    pub fn new() -> Result<Self> {
        let failed = |error: std::io::Error| Error::failed("listen for signals").kernel(error.to_string());
        let (wake, signalled) = UnixStream::pair().map_err(failed)?;
        let mut pause = Pause { wake, handlers: Vec::new() };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            let end = signalled.try_clone().map_err(failed)?;
            pause.handlers.push(pipe::register(signal, end).map_err(failed)?);
        }
        Ok(pause)
    }

    /// Waits so long; true at once when a signal comes.
    ///
    /// # Errors
    /// The system refuses to wait.
    pub fn interrupted(&self, time: Duration) -> Result<bool> {
        let end = Instant::now() + time;
        let failed = |error: std::io::Error| Error::failed("wait").kernel(error.to_string());
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(false);
            }
            self.wake.set_read_timeout(Some(left)).map_err(failed)?;
            match (&self.wake).read(&mut [0]) {
                Ok(_) => return Ok(true),
                // The signal's byte, or the rest of the time, is for the next turn.
                Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

impl AsFd for Pause {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for Pause {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            unregister(handler);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_a_pause_and_time_does() {
        let pause = Pause::new().unwrap();
        assert!(!pause.interrupted(Duration::from_millis(1)).unwrap());
        signal_hook::low_level::raise(SIGHUP).unwrap();
        assert!(pause.interrupted(Duration::from_secs(600)).unwrap());
    }
}
