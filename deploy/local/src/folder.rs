//! Where data, logs and fetched programs are kept: one ignored folder, which the user that PostgreSQL runs as can reach.

use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::{random, settings};

/// The root of the repository.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A user that is not root, and its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// PostgreSQL refuses to run as root: then it runs as `postgres`, or as `nobody` where there is no such user.
pub fn unprivileged() -> Result<Option<User>> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd").context("read /etc/passwd")?;
    let user = find_user(&users, "postgres").or_else(|| find_user(&users, "nobody"));
    user.map(Some)
        .context("PostgreSQL cannot run as root, and there is neither a user postgres nor nobody")
}

fn find_user(users: &str, name: &str) -> Option<User> {
    let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
    let mut ids = line.split(':').skip(2);
    Some(User { uid: ids.next()?.parse().ok()?, gid: ids.next()?.parse().ok()? })
}

/// The folder: `DATA_DIR`, else `.local` in the repository, else (where that cannot be written, or other users cannot reach it and
/// PostgreSQL has to run as one of them) one in `/var/tmp` that belongs to this repository and this user.
pub fn base() -> Result<PathBuf> {
    let user = unprivileged()?;
    if let Some(wanted) = settings::get("DATA_DIR") {
        let folder = std::path::absolute(wanted)?;
        make(&folder, 0o755)?;
        if let Some(closed) = closed_parent(&folder, user) {
            bail!(
                "PostgreSQL cannot run as root, and {} is closed to other users: choose another DATA_DIR",
                closed.display()
            );
        }
        return Ok(folder);
    }
    let folder = repository().join(".local");
    if closed_parent(&folder, user).is_none()
        && make(&folder, 0o755).is_ok()
        && is_writable(&folder)
    {
        return Ok(folder);
    }
    let name = Sha256::digest(repository().as_os_str().as_encoded_bytes());
    let us = rustix::process::geteuid();
    let folder =
        PathBuf::from(format!("/var/tmp/sales-pipeline-{}-{:.8}", us.as_raw(), random::hex(&name)));
    make(&folder, 0o711)?;
    let about = fs::symlink_metadata(&folder)?;
    if !about.is_dir() || about.uid() != us.as_raw() || about.permissions().mode() & 0o022 != 0 {
        bail!("{} is not ours alone: choose another place with DATA_DIR", folder.display());
    }
    Ok(folder)
}

fn make(folder: &Path, mode: u32) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(folder);
    made.with_context(|| format!("make {}", folder.display()))
}

fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

/// The first folder above this one that the user could not pass through.
fn closed_parent(folder: &Path, user: Option<User>) -> Option<PathBuf> {
    let user = user?;
    let mut parents: Vec<&Path> = folder.ancestors().skip(1).collect();
    parents.reverse();
    let closed = parents.into_iter().find(|parent| {
        fs::metadata(parent).is_ok_and(|about| {
            let shift = if about.uid() == user.uid {
                6
            } else if about.gid() == user.gid {
                3
            } else {
                0
            };
            (about.permissions().mode() >> shift) & 1 == 0
        })
    });
    closed.map(Path::to_owned)
}

/// A folder of its own for something throw-away, removed when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    // Says that it is in use.
    _lock: Lock,
}

impl Scratch {
    /// Makes one, and removes those that processes left behind which could not.
    pub fn create() -> Result<Self> {
        let all = base()?.join("tmp");
        make(&all, 0o755)?;
        for entry in fs::read_dir(&all)?.flatten() {
            // Another process is just making it.
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            let folder = entry.path();
            if let Ok(Some(_lock)) = Lock::take(&folder.join("lock"), "") {
                let _ = fs::remove_dir_all(&folder);
            }
        }
        let new = all.join(format!(".{}", random::word(8)));
        let path = all.join(random::word(8));
        make(&new, 0o755)?;
        let lock = Lock::take(&new.join("lock"), "")?.context("a new folder is in use")?;
        // Only under this name is it seen, and then it is locked.
        fs::rename(&new, &path)?;
        Ok(Self { path, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Held by one process at a time, given back when that process ends, however it ends.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "the lock is held as long as the file is open")] File);

impl Lock {
    /// Takes a lock and writes down what the others are to read; nothing if another process has it.
    pub fn take(path: &Path, what: &str) -> Result<Option<Self>> {
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error).context("lock a file"),
        }
        file.set_len(0)?;
        file.write_all(what.as_bytes())?;
        Ok(Some(Self(file)))
    }

    /// Takes a lock as soon as it is free.
    pub fn wait(path: &Path) -> Result<Self> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        file.lock()?;
        Ok(Self(file))
    }

    /// What its holder wrote down.
    pub fn read(path: &Path) -> String {
        let mut text = String::new();
        let _ = File::open(path).and_then(|mut file| file.read_to_string(&mut text));
        text
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path).with_context(|| format!("write {}", path.display()))
}

/// How many bytes are free where a folder is.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let about = rustix::fs::statvfs(folder).ok()?;
    Some(about.f_bavail * about.f_frsize)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_a_stale_one_is_nobodys() {
        let scratch = Scratch::create().unwrap();
        let path = scratch.path().join("some.lock");
        fs::write(&path, "left by a process that was killed").unwrap();
        let held = Lock::take(&path, "me").unwrap().unwrap();
        assert!(Lock::take(&path, "you").unwrap().is_none());
        assert_eq!(Lock::read(&path), "me");
        drop(held);
        assert!(Lock::take(&path, "you").unwrap().is_some());
    }

    #[test]
    fn a_scratch_folder_in_use_survives_and_one_left_behind_does_not() {
        let makers = (0..8).map(|_| {
            std::thread::spawn(|| {
                for _ in 0..25 {
                    assert!(Scratch::create().unwrap().path().exists());
                }
            })
        });
        makers.collect::<Vec<_>>().into_iter().for_each(|maker| maker.join().unwrap());
        let used = Scratch::create().unwrap();
        let left = used.path().with_file_name("left-behind");
        fs::create_dir_all(left.join("data")).unwrap();
        let another = Scratch::create().unwrap();
        assert!(used.path().exists() && another.path().exists() && !left.exists());
    }

    #[test]
    fn a_folder_closed_to_others_closes_what_is_below_it() {
        let scratch = Scratch::create().unwrap();
        let closed = scratch.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Some(User { uid: 4_000_000, gid: 4_000_000 });
        assert_eq!(closed_parent(&closed.join("data"), stranger), Some(closed.clone()));
        assert_eq!(closed_parent(&closed.join("data"), None), None);
    }

    #[test]
    fn a_user_is_found_by_its_name_alone() {
        let users = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:\npostgres:x:105:113::/:\n";
        assert_eq!(find_user(users, "postgres"), Some(User { uid: 105, gid: 113 }));
        assert_eq!(find_user(users, "nobody"), None);
    }
}
