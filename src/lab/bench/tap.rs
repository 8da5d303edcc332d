//! A tap on a link: servers are linked through it, and it counts what passes, or keeps it.
//!
//! It adds two threads and a copy to the way, so no time is measured on a link that it is on.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;

const COPY_BYTES: usize = 64 * 1024;

#[derive(Debug)]
struct Way {
    target: u16,
    /// Both ends of every connection.
    open: Mutex<Vec<TcpStream>>,
    /// What has passed, both ways.
    bytes: AtomicU64,
    /// What came from the target, if it is kept.
    kept: Option<Mutex<Vec<u8>>>,
    ended: AtomicBool,
}

/// A port that leads to another one. What goes over it ends when this is dropped.
#[derive(Debug)]
pub(super) struct Tap {
    port: u16,
    way: Arc<Way>,
}

impl Tap {
    /// A way to a port of this machine. `keeps`: it remembers all that comes from there.
    ///
    /// # Errors
    /// There is no free port.
    pub(super) fn on(target: u16, keeps: bool) -> Result<Self, String> {
        let failed = |error: io::Error| format!("a tap: {error}");
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let port = listener.local_addr().map_err(failed)?.port();
        let way = Arc::new(Way {
            target,
            open: Mutex::default(),
            bytes: AtomicU64::new(0),
            kept: keeps.then(Mutex::default),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&way);
        thread::spawn(move || accept(&listener, &accepting));
        Ok(Self { port, way })
    }

    /// The port.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How many bytes have passed, both ways.
    pub(super) fn bytes(&self) -> u64 {
        self.way.bytes.load(Ordering::Relaxed)
    }

    /// What has come from the target so far.
    pub(super) fn kept(&self) -> Vec<u8> {
        self.way.kept.as_ref().map(|kept| kept.lock().clone()).unwrap_or_default()
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.way.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts. If nobody is there, it has ended.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        for stream in self.way.open.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, way: &Arc<Way>) {
    while let Ok((near, _)) = listener.accept() {
        if way.ended.load(Ordering::Relaxed) {
            return;
        }
        // Whoever dialled tries again.
        let _ = join(near, way);
    }
}

fn join(near: TcpStream, way: &Arc<Way>) -> io::Result<()> {
    let far = TcpStream::connect((Ipv4Addr::LOCALHOST, way.target))?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    way.open.lock().extend([near.try_clone()?, far.try_clone()?]);
    let (near_too, far_too) = (near.try_clone()?, far.try_clone()?);
    let (there, back) = (Arc::clone(way), Arc::clone(way));
    thread::spawn(move || copy(near, far, &there, false));
    thread::spawn(move || copy(far_too, near_too, &back, true));
    Ok(())
}

fn copy(mut from: TcpStream, mut to: TcpStream, way: &Way, from_target: bool) {
    let mut bytes = vec![0; COPY_BYTES];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        way.bytes.fetch_add(count as u64, Ordering::Relaxed);
        if let Some(kept) = way.kept.as_ref().filter(|_| from_target) {
            kept.lock().extend_from_slice(&bytes[..count]);
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
