//! Folders that only this user may enter, and the lock that keeps a second server out.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::FlockOperation;

use crate::{failure::Failure, settings::Settings};

/// The name of the lock in the data folder.
const LOCK: &str = "serve.lock";

/// Makes the folders that the store lies in, for nobody but this user; there are none for a PostgreSQL server.
pub fn prepare(settings: &Settings) -> Result<(), Failure> {
    let Some(database) = settings.database_url.sqlite_path() else { return Ok(()) };
    make(&settings.data_dir)?;
    match database.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => make(folder),
        Some(_) | None => Ok(()),
    }
}

fn make(folder: &Path) -> Result<(), Failure> {
    if folder.is_dir() {
        if is_open_to_others(folder)? {
            tracing::warn!(folder = %folder.display(), "others may enter the data folder; run chmod 700 on it");
        }
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| Failure::of(&format!("cannot create the folder {}", folder.display()), &error))
}

/// Whether others than the owner may enter the folder.
pub fn is_open_to_others(folder: &Path) -> std::io::Result<bool> {
    Ok(std::fs::metadata(folder)?.permissions().mode() & 0o077 != 0)
}

/// Held by the one server over a SQLite database; the operating system lets go of it when the process ends.
pub struct ServeLock {
    _files: Vec<File>,
}

impl ServeLock {
    /// Takes the lock of the data folder, and that of a database which lies elsewhere.
    pub fn take(settings: &Settings) -> Result<Self, Failure> {
        let Some(database) = settings.database_url.sqlite_path() else {
            return Ok(Self { _files: Vec::new() });
        };
        let mut paths = vec![settings.data_dir.join(LOCK)];
        if database.parent() != Some(settings.data_dir.as_path()) {
            let mut beside = database.as_os_str().to_owned();
            beside.push(".lock");
            paths.push(PathBuf::from(beside));
        }
        let files = paths.iter().map(|path| lock(path)).collect::<Result<_, _>>()?;
        Ok(Self { _files: files })
    }
}

fn lock(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file =
        file.map_err(|error| Failure::of(&format!("cannot open the lock {}", path.display()), &error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::refused(format!(
            "another server is running on this data ({} is locked); stop it first, or choose another --data-dir",
            path.display()
        ))),
        Err(error) => Err(Failure::of(&format!("cannot lock {}", path.display()), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_on_the_same_folder_is_refused_until_the_first_ends() {
        let folder = tempfile::tempdir().unwrap();
        let said =
            crate::settings::Said { data_dir: Some(folder.path().join("new/data")), ..Default::default() };
        let settings = said.settle().unwrap();
        prepare(&settings).unwrap();
        assert!(!is_open_to_others(&settings.data_dir).unwrap());
        let first = ServeLock::take(&settings).unwrap();
        let refusal = ServeLock::take(&settings).err().unwrap().to_string();
        assert!(refusal.starts_with("another server is running on this data"), "{refusal}");
        drop(first);
        assert!(ServeLock::take(&settings).is_ok());
    }
}
