//! Disks that are full, as small file systems in memory: reads go on, nothing acknowledged is lost,
//! and a server goes on by itself when there is room again.
//!
//! Who may not mount has nothing shown here, and is told so.

// A test that is skipped says so.
#![allow(clippy::print_stderr)]

mod cluster;

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use causal_kv::log::disk::Fsync;
use causal_kv::protocol::reply::Reply;
use cluster::client::Client;
use cluster::folder::Folder;
use cluster::process::Process;
use cluster::{Node, shows, until};

/// A small disk, gone when this is dropped.
struct Disk {
    folder: Folder,
}

impl Disk {
    /// `None`: this user may not mount.
    fn mount(name: &str, mebibytes: u32) -> Option<Self> {
        let folder = Folder::create(name);
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "causal-kv"]);
        let mounted = command.arg(&folder.0).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(Self { folder });
        }
        eprintln!("SKIPPED: no file system can be mounted here, so no disk can be full");
        None
    }

    fn data(&self) -> Folder {
        Folder(self.folder.0.join("data"))
    }

    /// Takes all room that is left, but for so many bytes.
    fn fill(&self, left: u64) {
        let path = self.filler();
        let mut size = 1 << 20;
        while size >= 4096 {
            let file = fs::File::options().append(true).create(true).open(&path);
            let mut file = file.expect("it can be opened");
            if std::io::Write::write_all(&mut file, &vec![b'x'; size]).is_err() {
                size /= 2;
            }
        }
        let file = fs::File::options().write(true).open(&path).expect("it is there");
        let length = file.metadata().expect("it is there").len();
        file.set_len(length.saturating_sub(left)).expect("it can be cut");
    }

    fn filler(&self) -> PathBuf {
        self.folder.0.join("filler")
    }

    fn make_room(&self) {
        fs::remove_file(self.filler()).expect("it is there");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server may still end.
        let _ = Command::new("umount").arg("-l").arg(&self.folder.0).output();
    }
}

/// Writes a number to keys in turn, each in a kilobyte, until it is refused or `numbers` is over.
/// Gives the number that was not written, and why.
fn write(client: &mut Client, keys: u64, numbers: std::ops::Range<u64>) -> Option<(u64, String)> {
    let padding = "v".repeat(1_000);
    for number in numbers {
        let words = ["SET", &format!("k{}", number % keys), &format!("{number}-{padding}")];
        if let Reply::Error(why) = client.call(&words) {
            return Some((number, why));
        }
    }
    None
}

/// All keys have the last number that was acknowledged for them.
fn assert_whole(address: SocketAddr, keys: u64, written: u64) {
    let mut client = Client::connect(address);
    for number in written - keys..written {
        let value = client.get(&format!("k{}", number % keys)).unwrap_or_default();
        assert!(value.starts_with(&format!("{number}-")), "{value:.20} where {number} should be");
    }
}

#[test]
fn a_full_disk_stops_a_compaction_and_no_read() {
    let Some(disk) = Disk::mount("full-compaction", 16) else { return };
    let (folder, keys) = (disk.data(), 1_000);
    let directory = folder.0.display().to_string();
    let arguments =
        ["--data-dir", &directory, "--fsync", "always", "--compact-bytes", "2000000", "--quiet"];
    let server = Process::start(1, 0, &[], &arguments);
    let mut client = server.client();
    assert_eq!(write(&mut client, keys, 0..1_500), None);
    assert_eq!(folder.files("snapshot-").len(), 0, "it is too early");
    // A compaction will begin, and find less room than it needs; then there is none for writes.
    disk.fill(800 << 10);
    let (refused, why) = write(&mut client, keys, 1_500..9_000).expect("the disk is full");
    assert!(why.starts_with("MISCONF cannot "), "{why}");
    assert_eq!(folder.files("snapshot-0").len(), 0, "the snapshot found room");
    assert_whole(server.address, keys, refused);
    disk.make_room();
    assert_eq!(write(&mut client, keys, refused..refused + 10), None, "there is room again");
    until("the compaction", || {
        // It is looked at when something comes.
        client.ok(&["SET", "other", "1"]);
        !folder.files("snapshot-0").is_empty() && folder.logs().len() == 1
    });
    let mut written = refused + 10;
    assert_whole(server.address, keys, written);
    assert_eq!(write(&mut client, keys, written..written + keys), None);
    written += keys;
    server.kill();
    let server = Process::start(1, 0, &[], &arguments);
    assert_whole(server.address, keys, written);
}

#[test]
fn a_full_disk_puts_off_a_peers_snapshot_and_stops_no_read() {
    let Some(disk) = Disk::mount("full-install", 16) else { return };
    let folder = disk.data();
    let forgetful = |options: &mut causal_kv::server::Options| options.tail_bytes_max = 1 << 20;
    let one = Node::start(1, &[], forgetful);
    assert_eq!(write(&mut one.client(), 5_000, 0..5_000), None);
    let two = Node::start(2, &[], |options| {
        folder.keep(options, Fsync::Always);
        forgetful(options);
    });
    let mut client = two.client();
    client.write("mine", "1");
    disk.fill(2 << 20);
    let introduce = Node::start(3, &[one.address, two.address], |_| {});
    let mut drafts = 0;
    until("a snapshot that does not fit", || {
        client.write("mine", "2");
        assert_eq!(client.get("mine").as_deref(), Some("2"));
        let before = drafts;
        drafts = folder.files("install-new").len();
        before > drafts
    });
    let taken = || two.client().info()["snapshots_taken"].clone();
    assert_eq!((taken().as_str(), client.get("k7")), ("0", None), "half of it is shown");
    disk.make_room();
    until("the snapshot", || taken() == "1");
    assert_whole(two.address, 5_000, 5_000);
    shows(one.address, "mine", "2");
    drop((client, introduce, one, two));
    let two = Node::start(2, &[], |options| folder.keep(options, Fsync::Always));
    assert_whole(two.address, 5_000, 5_000);
    assert_eq!(two.client().get("mine").as_deref(), Some("2"));
}
