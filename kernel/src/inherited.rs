//! Sockets that the service manager opened for this process (`sd_listen_fds(3)`).

use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockaddrLike, SockaddrStorage, getsockname, sockopt};
use xdpilot_core::error::{Error, Result};

/// The first descriptor that is handed over.
const FIRST: i32 = 3;

/// The Unix socket on which this process is to listen; none where nobody opened one for it. To be called once, before
/// the process opens anything that might get that number.
///
/// # Errors
/// What was handed over is no listening Unix socket.
pub fn listener() -> Result<Option<UnixListener>> {
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    // The variables are inherited further than the descriptors: they are for the process that they name.
    if number("LISTEN_PID") != Some(std::process::id()) || number("LISTEN_FDS").is_none_or(|count| count == 0) {
        return Ok(None);
    }
    let failed = |words: String| Error::failed("take the socket of the service manager").kernel(words);
    // SAFETY: the protocol gives this descriptor to the process that LISTEN_PID names, which is this one, and nothing
    // else in it knows of it: the caller promises to ask once and first. That it is open is checked below, before use.
    let socket = unsafe { OwnedFd::from_raw_fd(FIRST) };
    if let Err(errno) = fcntl(&socket, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)) {
        // It is not open: there is nothing to close.
        std::mem::forget(socket);
        return Err(failed(errno.desc().to_string()));
    }
    let address: SockaddrStorage =
        getsockname(std::os::fd::AsRawFd::as_raw_fd(&socket)).map_err(|errno| failed(errno.desc().to_string()))?;
    let listens = nix::sys::socket::getsockopt(&socket, sockopt::AcceptConn).unwrap_or(false);
    if address.family() != Some(AddressFamily::Unix) || !listens {
        return Err(Error::failed("take the socket of the service manager")
            .cause("it is no Unix socket that listens")
            .mend("its unit needs ListenStream=/PATH"));
    }
    Ok(Some(UnixListener::from(socket)))
}
