//! The store's file: made whole or not at all, opened by one process at a time.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use redb::{Database, ReadTransaction, TableError};
use xdpilot_core::error::{Error, Kind, Result};

use super::{ANNOUNCED, ENTRIES, NUMBERS, Outcome, Trouble};

/// Pages that are kept in memory. (redb's own choice is a gigabyte.)
const CACHE: usize = 8 << 20;
/// Half a new file that is older is one of a process that was killed.
const STALE: Duration = Duration::from_secs(60);

/// `EBUSY`.
const BUSY: i32 = 16;

/// Whether an error says that another process has the file open.
pub fn is_open_elsewhere(error: &Error) -> bool {
    error.errno_value() == Some(BUSY)
}

/// Opens the file, and makes it where it is not there yet.
pub(super) fn open(path: &Path) -> Result<Database> {
    if !fs::exists(path).map_err(|error| failed("open", path, error.into()))? {
        create(path).map_err(|error| failed("make", path, error))?;
    }
    let open = || -> Outcome<Database> {
        let database = database(OpenOptions::new().read(true).write(true).open(path)?)?;
        // Nothing is written where all is there: a full disk can be read from.
        if !has_tables(&database.begin_read()?)? {
            make_tables(&database)?;
        }
        Ok(database)
    };
    open().map_err(|error| failed("open", path, error))
}

fn database(file: File) -> Outcome<Database> {
    Ok(Database::builder().set_cache_size(CACHE).create_file(file)?)
}

/// Makes a file with nothing in it. It gets its name when it is whole, since redb does not open half of one. Where two
/// processes do so at once the first one's stays.
fn create(path: &Path) -> Outcome<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    fs::create_dir_all(folder)?;
    sweep(folder, path);
    let (file, new) = unfinished(path)?;
    let made = database(file).and_then(|database| make_tables(&database));
    let linked = made.and_then(|()| match fs::hard_link(&new, path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => Ok(linked?),
    });
    _ = fs::remove_file(&new);
    linked?;
    // The name is to be there after a power failure too.
    Ok(File::open(folder)?.sync_all()?)
}

/// A file for what is not whole yet.
fn unfinished(path: &Path) -> Outcome<(File, PathBuf)> {
    let prefix = unfinished_prefix(path);
    for number in 0.. {
        let new = path.with_file_name(format!("{prefix}{}-{number}", std::process::id()));
        // Rules tell what a network's defences are.
        match OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&new) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            file => return Ok((file?, new)),
        }
    }
    Err(std::io::Error::from(ErrorKind::AlreadyExists).into())
}

fn unfinished_prefix(path: &Path) -> String {
    format!(".{}.new-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what killed processes left half made.
fn sweep(folder: &Path, path: &Path) {
    let prefix = unfinished_prefix(path);
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let age = entry.metadata().and_then(|data| data.modified()).ok().and_then(|time| time.elapsed().ok());
        if entry.file_name().to_string_lossy().starts_with(&prefix) && age.is_some_and(|age| age > STALE) {
            _ = fs::remove_file(entry.path());
        }
    }
}

fn has_tables(transaction: &ReadTransaction) -> Outcome<bool> {
    let there = |result: std::result::Result<(), TableError>| match result {
        Err(TableError::TableDoesNotExist(_)) => Ok(false),
        result => result.map(|()| true),
    };
    Ok(there(transaction.open_table(ENTRIES).map(drop))?
        && there(transaction.open_table(ANNOUNCED).map(drop))?
        && there(transaction.open_table(NUMBERS).map(drop))?)
}

fn make_tables(database: &Database) -> Outcome<()> {
    let transaction = database.begin_write()?;
    transaction.open_table(ENTRIES)?;
    transaction.open_table(ANNOUNCED)?;
    transaction.open_table(NUMBERS)?;
    Ok(transaction.commit()?)
}

/// What redb says, as an error that a person can act on.
pub(super) fn failed(what: &str, path: &Path, Trouble(error): Trouble) -> Error {
    let told = Error::failed(format!("{what} the store {}", path.display()));
    let io = match *error {
        redb::Error::DatabaseAlreadyOpen => {
            return told
                .errno(BUSY)
                .cause("another process has it open, an agent or a command that is not over yet")
                .mend("leave --store out where an agent runs: commands find it by its socket");
        }
        redb::Error::Io(error) => error,
        redb::Error::Corrupted(words) => {
            return told
                .kernel(words)
                .cause("the file is damaged")
                .mend("put a copy of it back, or remove it and apply all documents again");
        }
        error => return told.kernel(error.to_string()),
    };
    let told = told.kernel(io.to_string());
    match io.kind() {
        ErrorKind::PermissionDenied => told.of_kind(Kind::NotPermitted),
        ErrorKind::InvalidData => {
            told.cause("the file is not one of xdpilot's").mend("name another file, or one that is not there yet")
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => told
            .cause("the disk is full; what was stored before is still there")
            .mend(format!("make room: df -h {}", path.display())),
        _ => told,
    }
}
