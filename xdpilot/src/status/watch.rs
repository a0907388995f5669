//! Frames that follow one another, in place on a terminal.

use std::io::{ErrorKind, Write};

use xdpilot_core::error::{Error, Result};

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
    fn frames_replace_each_other_and_give_the_cursor_back() {
        let mut out = Vec::new();
        let mut frames = Frames::new(&mut out, true);
        assert!(frames.show("a\nb\n").unwrap());
        drop(frames);
        assert_eq!(String::from_utf8(out).unwrap(), "\x1b[?25l\x1b[Ha\x1b[K\nb\x1b[K\n\x1b[J\x1b[?25h");
    }
}
