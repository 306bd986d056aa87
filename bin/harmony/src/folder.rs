//! Folders that only this user may enter, and the lock that keeps a second server out.

use std::{
    collections::BTreeSet,
    fs::{DirBuilder, File, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use harmony_store::DatabaseUrl;
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

/// Looking into a data folder that was mistyped must not make it.
pub fn refuse_absent(settings: &Settings) -> Result<(), Failure> {
    let absent = |path: &&Path| matches!(path.try_exists(), Ok(false));
    settings.database_url.sqlite_path().filter(absent).map_or(Ok(()), |path| {
        Err(Failure::refused(format!(
            "nothing is set up yet: there is no database {}; name another --data-dir, or see `harmony init --help`",
            path.display()
        )))
    })
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
            paths.push(beside(database));
        }
        let taken = |path: &PathBuf| {
            Failure::refused(format!(
                "another server is running on this data, or it is being copied ({} is locked); stop it first, or choose \
                 another --data-dir",
                path.display()
            ))
        };
        let files = paths.iter().map(|path| lock(path)?.ok_or_else(|| taken(path)));
        Ok(Self { _files: files.collect::<Result<_, _>>()? })
    }
}

/// Keeps servers off SQLite databases that lie anywhere, and others who would do the same, until it is dropped. The folder
/// of a database that is not there yet is made.
pub fn keep_servers_out<'u>(urls: impl IntoIterator<Item = &'u DatabaseUrl>) -> Result<ServeLock, Failure> {
    // Two databases in one folder have one lock in common.
    let mut paths = BTreeSet::new();
    for database in urls.into_iter().filter_map(DatabaseUrl::sqlite_path) {
        let named = database.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = named.unwrap_or(Path::new("."));
        make(folder)?;
        let folder = folder.canonicalize()?;
        // A server holds the one in its data folder, and the one beside a database that lies elsewhere.
        paths.insert(folder.join(LOCK));
        paths.extend(database.file_name().map(|name| beside(&folder.join(name))));
    }
    let taken = |path: &PathBuf| {
        Failure::refused(format!(
            "a server or another copy is running on this data ({} is locked); let it end first",
            path.display()
        ))
    };
    let files = paths.iter().map(|path| lock(path)?.ok_or_else(|| taken(path)));
    Ok(ServeLock { _files: files.collect::<Result<_, _>>()? })
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}

/// The file, locked; nothing if somebody else has locked it.
fn lock(path: &Path) -> Result<Option<File>, Failure> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path);
    let file =
        file.map_err(|error| Failure::of(&format!("cannot open the lock {}", path.display()), &error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
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

    #[test]
    fn a_server_is_kept_out_of_a_database_that_is_copied_wherever_its_data_folder_is() {
        let folder = tempfile::tempdir().unwrap();
        let at = |data: &str, database: &str| {
            let url = format!("sqlite:{}", folder.path().join(database).display());
            let data_dir = Some(folder.path().join(data));
            let said = crate::settings::Said { data_dir, database_url: Some(url), ..Default::default() };
            let settings = said.settle().unwrap();
            prepare(&settings).unwrap();
            settings
        };
        let (own, elsewhere) = (at("data", "data/a.sqlite"), at("other", "data/a.sqlite"));
        let both = [&own.database_url, &at("data", "data/b.sqlite").database_url];
        for settings in [&own, &elsewhere] {
            let kept_out = keep_servers_out(both).unwrap();
            assert!(ServeLock::take(settings).is_err());
            assert!(keep_servers_out(both).is_err());
            drop(kept_out);
            let server = ServeLock::take(settings).unwrap();
            let refusal = keep_servers_out(both).err().unwrap().to_string();
            assert!(refusal.starts_with("a server or another copy is running on this data"), "{refusal}");
            drop(server);
        }
    }
}
