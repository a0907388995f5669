//! Waiting for files to change (inotify(7)), for records and for signals.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use xdpilot_core::error::{Error, Result};

/// Watches files by their folders, so that a file that is put in the place of another (as editors do) is seen too.
///
/// Its descriptor is readable where something happened.
#[derive(Debug)]
pub struct Files {
    inotify: Inotify,
    folders: BTreeMap<WatchDescriptor, PathBuf>,
}

impl Files {
    /// Watches the folders of these files.
    ///
    /// # Errors
    /// A folder is not there, or there are too many watches.
    pub fn new(files: &[PathBuf]) -> Result<Self> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)
            .map_err(|errno| failed("watch files", errno))?;
        let mut watch = Files { inotify, folders: BTreeMap::new() };
        files.iter().try_for_each(|file| watch.add(file))?;
        Ok(watch)
    }

    /// Watches the folder of a file too; and where the file is a symbolic link, that of what it leads to.
    ///
    /// # Errors
    /// As [`Files::new`].
    pub fn add(&mut self, file: &Path) -> Result<()> {
        let real = file.canonicalize().unwrap_or_else(|_| file.to_owned());
        for path in [file, &real] {
            let folder = match path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => folder,
                _ => Path::new("."),
            };
            // A file that is still being written (MODIFY) is not looked at.
            let events = AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO | AddWatchFlags::IN_CREATE;
            let descriptor = self.inotify.add_watch(folder, events);
            let descriptor = descriptor.map_err(|errno| failed(&format!("watch {}", folder.display()), errno))?;
            self.folders.insert(descriptor, folder.to_owned());
        }
        Ok(())
    }

    /// The files that were written, or put in place, since the last time: each once.
    ///
    /// # Errors
    /// The kernel gives none.
    pub fn changed(&self) -> Result<Vec<PathBuf>> {
        let mut changed: Vec<PathBuf> = Vec::new();
        loop {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EAGAIN) => break,
                Err(errno) => return Err(failed("see which files changed", errno)),
            };
            for event in events {
                // A new file is read when it was written; what is put there as a link never is.
                let written = event.mask.intersects(AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_MOVED_TO);
                let path =
                    self.folders.get(&event.wd).zip(event.name).map(|(folder, name): (_, OsString)| folder.join(name));
                changed.extend(path.filter(|path| written || path.is_symlink()));
            }
        }
        changed.sort();
        changed.dedup();
        Ok(changed)
    }
}

impl AsFd for Files {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

/// Waits until one of the descriptors can be read (or its other end is closed); which of them.
///
/// # Errors
/// The kernel refuses to wait.
pub fn readable(descriptors: &[BorrowedFd<'_>]) -> Result<Vec<bool>> {
    let mut polled = to_read(descriptors);
    wait(&mut polled)?;
    Ok(polled.iter().map(|one| one.any().unwrap_or(false)).collect())
}

/// The same, for at most this time.
///
/// # Errors
/// As [`readable`].
pub fn readable_within(descriptors: &[BorrowedFd<'_>], time: Duration) -> Result<Vec<bool>> {
    let mut polled = to_read(descriptors);
    wait_within(&mut polled, time)?;
    Ok(polled.iter().map(|one| one.any().unwrap_or(false)).collect())
}

/// The same, for at most this time if any is given, or until a mount appears or vanishes
/// ([`Names`](crate::netns_directory::Names)); the last of the answers says that.
///
/// # Errors
/// As [`readable`].
pub fn readable_or_mounted(
    descriptors: &[BorrowedFd<'_>],
    mounts: Option<BorrowedFd<'_>>,
    time: Option<Duration>,
) -> Result<Vec<bool>> {
    let mut polled = to_read(descriptors);
    polled.extend(mounts.map(|mounts| PollFd::new(mounts, PollFlags::POLLPRI)));
    match time {
        Some(time) => wait_within(&mut polled, time)?,
        None => wait(&mut polled)?,
    }
    let mut ready: Vec<bool> = polled.iter().map(|one| one.any().unwrap_or(false)).collect();
    ready.resize(descriptors.len() + 1, false);
    Ok(ready)
}

/// The same as [`readable`], as long as somebody reads what is written to the pipe `out`; none where nobody does any more.
///
/// # Errors
/// As [`readable`].
pub fn readable_while_read(descriptors: &[BorrowedFd<'_>], out: BorrowedFd<'_>) -> Result<Option<Vec<bool>>> {
    let mut polled = to_read(descriptors);
    // Errors are told without being asked for.
    polled.push(PollFd::new(out, PollFlags::empty()));
    wait(&mut polled)?;
    let gone = polled.pop().and_then(|out| out.revents()).is_some_and(|events| events.contains(PollFlags::POLLERR));
    Ok((!gone).then(|| polled.iter().map(|one| one.any().unwrap_or(false)).collect()))
}

fn to_read<'fd>(descriptors: &[BorrowedFd<'fd>]) -> Vec<PollFd<'fd>> {
    descriptors.iter().map(|fd| PollFd::new(*fd, PollFlags::POLLIN)).collect()
}

fn wait(polled: &mut [PollFd<'_>]) -> Result<()> {
    loop {
        match nix::poll::poll(polled, PollTimeout::NONE) {
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed("wait for events", errno)),
            Ok(_) => return Ok(()),
        }
    }
}

fn wait_within(polled: &mut [PollFd<'_>], time: Duration) -> Result<()> {
    // In whole milliseconds, of which a part counts as one: who waits for a time should find that it has passed.
    let time = PollTimeout::try_from(time + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
    // A signal shortens the wait: who waits for a time has something to do after it.
    match nix::poll::poll(polled, time) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(errno) => Err(failed("wait for events", errno)),
    }
}

fn failed(what: &str, errno: Errno) -> Error {
    let error = Error::failed(what).kernel(errno.desc()).errno(errno as i32);
    match errno {
        Errno::ENOSPC => error.cause("too many watches").mend("sysctl fs.inotify.max_user_watches=1048576"),
        Errno::EMFILE => error.cause("too many watchers").mend("sysctl fs.inotify.max_user_instances=1024"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn seen(files: &Files) -> Vec<PathBuf> {
        assert_eq!(readable(&[files.as_fd()]).unwrap(), [true]);
        files.changed().unwrap()
    }

    #[test]
    fn files_are_seen_when_written_and_when_another_takes_their_place() {
        let folder = tempfile::tempdir().unwrap();
        let (file, other) = (folder.path().join("a.xdp"), folder.path().join("a.xdp~"));
        fs::write(&file, "one").unwrap();
        let files = Files::new(std::slice::from_ref(&file)).unwrap();
        assert_eq!(files.changed().unwrap(), [] as [PathBuf; 0]);
        fs::write(&file, "two").unwrap();
        assert_eq!(seen(&files), std::slice::from_ref(&file));
        fs::write(&other, "three").unwrap();
        fs::rename(&other, &file).unwrap();
        assert_eq!(seen(&files), [file.clone(), other]);
        fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("elsewhere", &file).unwrap();
        assert_eq!(seen(&files), [file]);
    }

    #[test]
    fn a_pipe_that_nobody_reads_any_more_is_seen() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (ready, other) = std::io::pipe().unwrap();
        drop(reader);
        assert_eq!(readable_while_read(&[ready.as_fd()], writer.as_fd()).unwrap(), None);
        drop(other);
        let (_reader, writer) = std::io::pipe().unwrap();
        assert_eq!(readable_while_read(&[ready.as_fd()], writer.as_fd()).unwrap(), Some(vec![true]));
    }

    #[test]
    fn a_missing_folder_is_named() {
        let error = Files::new(&[PathBuf::from("/no/such/folder/a.xdp")]).unwrap_err();
        assert!(error.to_string().contains("/no/such/folder"), "{error}");
    }
}
