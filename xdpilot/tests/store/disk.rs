//! The embedded store where the disk or the file is not as it should be.

use std::env;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use xdpilot::store::{self, Committed, Store};
use xdpilot_core::error::Result;

use crate::folder::Folder;
use crate::place::{changes_until, done, keys, put};

/// Where a process has a small disk of its own.
const DISK: &str = "XDPILOT_TESTS_DISK";

fn open(path: &Path) -> Result<Box<dyn Store>> {
    store::open(&format!("redb:{}", path.display()).parse()?)
}

/// Fills what is left of a disk.
fn fill(path: &Path) {
    let mut size = 1 << 20;
    let mut file = fs::File::create(path).unwrap();
    while size > 0 {
        if std::io::Write::write_all(&mut file, &vec![0; size]).is_err() {
            size /= 2;
        }
    }
}

/// In a mount namespace of its own, so that nothing of it is seen or left elsewhere.
#[test]
fn root_a_full_disk_is_told_and_loses_nothing() {
    if let Ok(disk) = env::var(DISK) {
        return full_disk(Path::new(&disk));
    }
    let folder = Folder::new();
    let disk = folder.path("disk");
    fs::create_dir(&disk).unwrap();
    let script = "mount -t tmpfs -o size=16m none \"$1\" && exec \"$2\" --exact --nocapture \"$3\"";
    let test = "disk::root_a_full_disk_is_told_and_loses_nothing";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]);
    let output = command.arg(&disk).arg(env::current_exe().unwrap()).arg(test).env(DISK, &disk).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

fn full_disk(disk: &Path) {
    let path = disk.join("store.redb");
    let store = open(&path).unwrap();
    let begin = done(&*store, &[put("kept", "1")]);
    let mut watch = store.watch("", begin).unwrap();
    let other = disk.join("other");
    for round in 0..5 {
        fill(&other);
        // What has room in the file's free pages may still go in.
        let mut last = store.list("").unwrap();
        let error = loop {
            let value = vec![round; 200_000];
            let key = format!("{round}/{}", last.entries.len());
            match store.commit(&[], &[put(&key, value)]) {
                Ok(Committed::Done(revision)) => {
                    last = store.list("").unwrap();
                    assert_eq!(last.revision, revision);
                }
                Ok(Committed::Conflict) => panic!("a conflict"),
                Err(error) => break error.to_string(),
            }
            assert!(last.entries.len() < 100, "the disk is not full");
        };
        assert!(error.contains("No space left") && error.contains("disk is full"), "{error}");
        assert!(error.contains("df -h"), "{error}");
        // It is read from, also by the next process.
        assert_eq!(store.list("").unwrap(), last, "round {round}");
        assert!(store.commit(&[], &[put("more", vec![1; 300_000])]).is_err());
        assert_eq!(store.list("").unwrap(), last, "round {round}");
        fs::remove_file(&other).unwrap();
        let revision = done(&*store, &[put("kept", [round; 4])]);
        assert_eq!(store.list("").unwrap().entries.len(), last.entries.len());
        assert_eq!(revision, last.revision + 1);
        // Whoever watches has seen the commits that are stored, and no other one.
        let told = changes_until(&mut *watch, revision);
        assert_eq!(told.last(), Some(&put("kept", [round; 4])));
    }
    let before = store.list("").unwrap();
    drop((store, watch));
    fill(&other);
    let store = open(&path).unwrap();
    assert_eq!(store.list("").unwrap(), before, "a process that begins with a full disk");
    drop(store);
    // Nothing is left of a store that could not be made.
    let error = open(&disk.join("new/store.redb")).map(drop).unwrap_err().to_string();
    assert!(error.contains("disk is full"), "{error}");
    assert_eq!(fs::read_dir(disk.join("new")).map_or(0, Iterator::count), 0);
    fs::remove_file(&other).unwrap();
    assert_eq!(keys(&*open(&disk.join("new/store.redb")).unwrap(), ""), [""; 0]);
}

#[test]
fn rules_are_not_for_everyone() {
    let folder = Folder::new();
    let path = folder.path("store.redb");
    drop(open(&path).unwrap());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(path.metadata().unwrap().nlink(), 1, "nothing else has a name of it");
    assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn one_process_has_it_open() {
    let folder = Folder::new();
    let path = folder.path("store.redb");
    let store = open(&path).unwrap();
    let error = open(&path).map(drop).unwrap_err().to_string();
    assert!(error.contains("another process has it open") && error.contains("--store"), "{error}");
    drop(store);
    drop(open(&path).unwrap());
}

/// Several that make it at once: one has it, the others are told so, and none puts another one in its place.
#[test]
fn one_of_many_makes_it() {
    for _ in 0..20 {
        let folder = Folder::new();
        let path = folder.path("store.redb");
        let opened = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..6).map(|_| scope.spawn(|| open(&path))).collect();
            let opened: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
            for store in opened.iter().flatten() {
                done(&**store, &[put("a", "1")]);
            }
            for error in opened.iter().filter_map(|store| store.as_ref().err()) {
                assert!(error.to_string().contains("another process has it open"), "{error}");
            }
            opened.into_iter().flatten().count()
        });
        assert_eq!(opened, 1);
        assert_eq!(keys(&*open(&path).unwrap(), ""), ["a"]);
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }
}

#[test]
fn what_is_no_store_is_told() {
    let folder = Folder::new();
    let text = folder.file("text", "hello ".repeat(2000));
    let error = open(Path::new(&text)).map(drop).unwrap_err().to_string();
    assert!(error.contains("not one of xdpilot's") && error.contains("name another file"), "{error}");
    assert_eq!(fs::read_to_string(&text).unwrap(), "hello ".repeat(2000), "it is left as it was");
    let error = open(folder.path("").as_path()).map(drop).unwrap_err().to_string();
    assert!(error.contains("Is a directory"), "{error}");
    let error = open(&Path::new(&text).join("store")).map(drop).unwrap_err().to_string();
    assert!(error.contains("Not a directory"), "{error}");
    // An empty file becomes one.
    let empty = folder.file("empty", "");
    done(&*open(Path::new(&empty)).unwrap(), &[put("a", "1")]);
    assert_eq!(keys(&*open(Path::new(&empty)).unwrap(), ""), ["a"]);
}
