//! A TCP proxy that can be told to misbehave.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::free;

#[derive(Debug)]
struct Way {
    target: SocketAddr,
    /// Both sockets of every connection, each with the other.
    open: Mutex<Vec<[TcpStream; 2]>>,
    live: AtomicUsize,
    made: AtomicUsize,
    ended: AtomicBool,
    stalled: AtomicBool,
    crumbs: AtomicBool,
}

/// A way to a server that leads over this process.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    way: Arc<Way>,
}

impl Proxy {
    pub(crate) fn to(target: SocketAddr) -> Self {
        let listener = free();
        let address = listener.local_addr().expect("it is bound");
        let way = Arc::new(Way {
            target,
            open: Mutex::default(),
            live: AtomicUsize::new(0),
            made: AtomicUsize::new(0),
            ended: AtomicBool::new(false),
            stalled: AtomicBool::new(false),
            crumbs: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&way);
        thread::spawn(move || accept(&listener, &accepting));
        Self { address, way }
    }

    /// Breaks all connections.
    pub(crate) fn cut(&self) {
        for pair in self.way.open.lock().expect("not poisoned").drain(..) {
            for stream in pair {
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
    }

    /// Lets nothing through, or all again. The connections stay open.
    pub(crate) fn stall(&self, stalled: bool) {
        self.way.stalled.store(stalled, Ordering::SeqCst);
    }

    /// Hands the bytes on by ones and twos, each in a packet of its own.
    pub(crate) fn crumble(&self, crumbs: bool) {
        self.way.crumbs.store(crumbs, Ordering::SeqCst);
    }

    /// How many connections were ever made.
    pub(crate) fn made(&self) -> usize {
        self.way.made.load(Ordering::SeqCst)
    }

    /// How many connections are open in both directions.
    pub(crate) fn live(&self) -> usize {
        self.way.live.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.way.ended.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
        self.cut();
    }
}

fn accept(listener: &TcpListener, way: &Arc<Way>) {
    while let Ok((near, _)) = listener.accept() {
        if way.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(far) = TcpStream::connect(way.target) else { continue };
        let twin = |stream: &TcpStream| stream.try_clone().expect("descriptors are left");
        way.open.lock().expect("not poisoned").push([twin(&near), twin(&far)]);
        way.live.fetch_add(1, Ordering::SeqCst);
        way.made.fetch_add(1, Ordering::SeqCst);
        let (back_far, back_near) = (twin(&far), twin(&near));
        let (there, back) = (Arc::clone(way), Arc::clone(way));
        let there = thread::spawn(move || copy(near, far, &there));
        let ended = Arc::clone(way);
        thread::spawn(move || {
            copy(back_far, back_near, &back);
            drop(there.join());
            ended.live.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, way: &Way) {
    let short = Some(Duration::from_millis(20));
    let prepared = from.set_read_timeout(short).and_then(|()| to.set_nodelay(true));
    let mut bytes = [0; 4096];
    while prepared.is_ok() && !way.ended.load(Ordering::SeqCst) {
        if way.stalled.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
            continue;
        }
        let length = if way.crumbs.load(Ordering::SeqCst) { 2 } else { bytes.len() };
        match from.read(&mut bytes[..length]) {
            Ok(0) => break,
            Ok(count) => {
                if to.write_all(&bytes[..count]).is_err() {
                    break;
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(_) => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
