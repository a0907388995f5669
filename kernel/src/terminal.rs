//! The terminal that standard output goes to.

use std::io::{IsTerminal, stdout};

use nix::libc;

/// How many characters a line has; none where standard output is no terminal or does not say.
pub fn width() -> Option<usize> {
    if !stdout().is_terminal() {
        return None;
    }
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request writes one `winsize`.
    let ret = unsafe { libc::ioctl(libc::STDOUT_FILENO, libc::TIOCGWINSZ, &mut size) };
    (ret == 0 && size.ws_col > 0).then_some(usize::from(size.ws_col))
}
