//! Frames that follow one another, in place on a terminal, and the pauses between them.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};
use xdpilot_core::error::{Error, Result};

/// Waits that an interrupt (Ctrl-C, SIGTERM, SIGHUP) ends, so that what was begun is put back.
pub(super) struct Pause {
    wake: UnixStream,
    handlers: Vec<SigId>,
}

impl Pause {
    pub(super) fn new() -> Result<Self> {
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
    pub(super) fn interrupted(&self, time: Duration) -> Result<bool> {
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

impl Drop for Pause {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            unregister(handler);
        }
    }
}

/// Where frames are shown. Dropping it gives the cursor back.
pub(super) struct Frames<'a, W: Write> {
    out: &'a mut W,
    in_place: bool,
}

impl<'a, W: Write> Frames<'a, W> {
    /// `in_place`: each frame takes the place of the one before, with ANSI sequences.
    pub(super) fn new(out: &'a mut W, in_place: bool) -> Self {
        Frames { out, in_place }
    }

    /// Shows a frame; false where nobody reads any more.
    pub(super) fn show(&mut self, frame: &str) -> Result<bool> {
        let shown = if self.in_place { in_place(frame) } else { frame.to_string() };
        match self.out.write_all(shown.as_bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Error::failed("print the status").kernel(error.to_string())),
        }
    }
}

impl<W: Write> Drop for Frames<'_, W> {
    fn drop(&mut self) {
        if self.in_place {
            // A terminal that is gone needs no cursor.
            _ = self.out.write_all(b"\x1b[?25h").and_then(|()| self.out.flush());
        }
    }
}

/// Hides the cursor, goes home, and clears behind each line and below the last: nothing flickers.
fn in_place(frame: &str) -> String {
    format!("\x1b[?25l\x1b[H{}\x1b[J", frame.replace('\n', "\x1b[K\n"))
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

    #[test]
    fn frames_replace_each_other_and_give_the_cursor_back() {
        let mut out = Vec::new();
        let mut frames = Frames::new(&mut out, true);
        assert!(frames.show("a\nb\n").unwrap());
        drop(frames);
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b[?25l\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J\x1b[?25h");
    }
}
