//! Folders for what a test writes, and for servers that keep data.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};

use causal_kv::log::disk::Fsync;
use causal_kv::server::Options;

use super::Node;

/// A directory of its own for a test, gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn create(name: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("causal-kv-{name}-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// Where a file of this name is, or would be.
    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("it was written")
    }

    pub(crate) fn keep(&self, options: &mut Options, fsync: Fsync) {
        options.data_dir = Some(self.0.clone());
        options.fsync = fsync;
    }

    pub(crate) fn start(&self, id: u32) -> Node {
        Node::start(id, &[], |options| self.keep(options, Fsync::Always))
    }

    /// The files of the log, the newest last.
    pub(crate) fn logs(&self) -> Vec<PathBuf> {
        self.files("log-")
    }

    /// The files whose names begin so, the newest last.
    pub(crate) fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.0).expect("it is there").flatten();
        let mut logs: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        };
        logs.retain(named);
        logs.sort();
        logs
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
