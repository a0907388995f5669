//! Frames that follow one another, in place on a terminal.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use xdpilot_core::error::{Error, Result};

use crate::pause::Pause;

/// The seconds behind `--watch`: 0.1 to 86,400.
///
/// # Errors
/// What is expected instead.
pub fn seconds(text: &str) -> std::result::Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "a number of seconds is expected")?;
    if (0.1..=86_400.0).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err("0.1 to 86400 seconds are possible".to_string())
    }
}

/// Shows what is seen again and again, until a signal comes or nobody reads any more. `in_place`: each frame takes the
/// place of the one before, with ANSI sequences.
///
/// # Errors
/// It cannot be seen or printed.
pub fn watch<T>(
    first: T,
    (every, pause): (Duration, &Pause),
    (out, in_place): (&mut impl Write, bool),
    text: impl Fn(&T) -> Result<String>,
    next: impl Fn(&T) -> Result<T>,
) -> Result<()> {
    let mut frames = Frames { out, in_place };
    let mut seen = first;
    while frames.show(&text(&seen)?)? && !pause.interrupted(every)? {
        seen = next(&seen)?;
    }
    Ok(())
}

/// Where frames are shown. Dropping it gives the cursor back.
struct Frames<'a, W: Write> {
    out: &'a mut W,
    in_place: bool,
}

impl<W: Write> Frames<'_, W> {
    /// Shows a frame; false where nobody reads any more.
    fn show(&mut self, frame: &str) -> Result<bool> {
        let shown = if self.in_place { in_place(frame) } else { frame.to_string() };
        match self.out.write_all(shown.as_bytes()).and_then(|()| self.out.flush()) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
            Err(error) => Err(Error::failed("print the result").kernel(error.to_string())),
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
    fn frames_replace_each_other_and_give_the_cursor_back() {
        let mut out = Vec::new();
        let mut frames = Frames { out: &mut out, in_place: true };
        assert!(frames.show("a\nb\n").unwrap());
        drop(frames);
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b[?25l\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J\x1b[?25h");
    }
}
