//! A file of no use beside a SQLite database, whose space a deletion gets when the disk is full.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use crate::StoreError;

/// Far more than the pages that the deletion of a key touches.
const BYTES: usize = 1024 * 1024;

/// An error that may be the store's, as [`crate::Store::write_revoking`] must know.
pub trait Refusal: From<StoreError> {
    /// What the store said, if it is the store that refused.
    fn of_store(&self) -> Option<&StoreError>;
}

impl Refusal for StoreError {
    fn of_store(&self) -> Option<&StoreError> {
        Some(self)
    }
}

/// Where the ballast of a database lies.
pub(crate) struct Ballast {
    path: PathBuf,
}

impl Ballast {
    /// Takes ballast in, unless it is there. A disk without room for it opens nevertheless.
    pub(crate) fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push("-ballast");
        let ballast = Self { path: name.into() };
        if ballast.take_in().is_err() {
            ballast.throw_off();
        }
        ballast
    }

    fn take_in(&self) -> io::Result<()> {
        if fs::metadata(&self.path).is_ok_and(|found| found.len() == BYTES as u64) {
            return Ok(());
        }
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&self.path)?;
        file.write_all(&vec![0xA5; BYTES])?;
        // A file system may put the allocation off until then.
        file.sync_all()
    }

    /// Gives its space back; `false` when there was none.
    pub(crate) fn throw_off(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}
