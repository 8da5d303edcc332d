//! Folders for the files of a run.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A folder. If it is a temporary one, it is removed when this is dropped.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// A new temporary folder; `name` says what for.
    ///
    /// # Errors
    /// It cannot be made.
    pub(super) fn temporary(name: &str) -> Result<Self, String> {
        let name = format!("causal-lab-{name}-{}", std::process::id());
        // One that was killed with this process id may have left its folder.
        let mut paths =
            (0..).map(|number: u32| std::env::temp_dir().join(format!("{name}-{number}")));
        loop {
            let path = paths.next().expect("there are enough numbers");
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path, temporary: true }),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(format!("{}: {error}", path.display())),
            }
        }
    }

    /// A folder that stays. It may be there already, but empty.
    ///
    /// # Errors
    /// It cannot be made, or holds something.
    pub(super) fn lasting(path: &str) -> Result<Self, String> {
        let failed = |error| format!("{path}: {error}");
        fs::create_dir_all(path).map_err(failed)?;
        if fs::read_dir(path).map_err(failed)?.next().is_some() {
            return Err(format!("{path} is not empty; name another folder"));
        }
        Ok(Self { path: PathBuf::from(path), temporary: false })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn temporary_folders_go_unless_they_are_kept() {
        let gone = Folder::temporary("test").expect("there is room");
        let mut kept = Folder::temporary("test").expect("beside the other one");
        kept.keep();
        let paths = [gone.path().to_owned(), kept.path().to_owned()];
        assert!(paths.iter().all(|path| path.is_dir()) && paths[0] != paths[1]);
        drop((gone, kept));
        assert_eq!([paths[0].exists(), paths[1].exists()], [false, true]);
        let again = Folder::lasting(&paths[1].display().to_string());
        drop(again.expect("it is empty"));
        fs::remove_dir(&paths[1]).expect("it stayed");
    }
}
