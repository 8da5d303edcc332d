//! Folders for the files of a run.

use std::fs;
use std::path::{Path, PathBuf};

/// A folder. If it is a temporary one, it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// A temporary folder for this process; `name` tells it from the process's others.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn temporary(name: &str) -> Result<Self, String> {
        let name = format!("causal-lab-{name}-{}", std::process::id());
        Self::open(std::env::temp_dir().join(name), true)
    }

    /// A folder that stays. It may be there already, but empty.
    ///
    /// # Errors
    /// It cannot be made, or holds something.
    pub(super) fn lasting(path: &str) -> Result<Self, String> {
        Self::open(PathBuf::from(path), false)
    }

    fn open(path: PathBuf, temporary: bool) -> Result<Self, String> {
        let failed = |error| format!("{}: {error}", path.display());
        fs::create_dir_all(&path).map_err(failed)?;
        if fs::read_dir(&path).map_err(failed)?.next().is_some() {
            return Err(format!("{} is not empty; name another folder", path.display()));
        }
        Ok(Self { path, temporary })
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It stays, whatever it was.
    pub(super) fn keep(&mut self) {
        self.temporary = false;
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            // What cannot be removed, the system's own cleaning will.
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
