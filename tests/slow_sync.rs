//! A disk whose sync takes as long as it likes: half a minute, or for ever (promises B7).
//!
//! The sync is held until the test lets it go: nobody sleeps. Meanwhile ASYNC appends go on up to the window and then
//! wait, SYNC requests run out of time with an *unknown* outcome, readers read, and nothing is taken for failed; when
//! the sync ends everything that waited arrives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    reason = "tests may stop at the first surprise"
)]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};
use sawlog::disk::{Access, BootId, Description, Disk, DiskFile, Entry, Lock, MappedDisk, Reserve, Space};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Ack, Error, Level, Message, Options, Store};

/// Long enough for a thread that is not held to get where it goes; a test that is right never waits so long for
/// anything that it wants to happen.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Where syncs of the log stand still.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    shut: bool,
    waiting: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        state.waiting += 1;
        self.changed.notify_all();
        while state.shut {
            self.changed.wait(&mut state);
        }
        state.waiting -= 1;
    }

    fn until_one_is_held(&self) {
        let mut state = self.state.lock();
        while state.waiting == 0 {
            self.changed.wait(&mut state);
        }
    }
}

/// Shut while this lives: a test that stops at a surprise lets everybody go.
struct Shut(Arc<Gate>);

fn shut(gate: &Arc<Gate>) -> Shut {
    gate.state.lock().shut = true;
    Shut(Arc::clone(gate))
}

impl Drop for Shut {
    fn drop(&mut self) {
        self.0.state.lock().shut = false;
        self.0.changed.notify_all();
    }
}

/// The mapped disk with a gate in front of each sync of a log file that was there when the store was opened. One that
/// is made meanwhile syncs freely: where that hangs too there is no next segment, and appends wait at the end of the
/// one that is prepared.
#[derive(Debug)]
struct SlowDisk {
    disk: MappedDisk,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct SlowFile {
    file: Box<dyn DiskFile>,
    gate: Option<Arc<Gate>>,
}

impl SlowDisk {
    fn file(&self, path: &Path, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let of_the_log = path.parent().is_some_and(|dir| dir.ends_with("commitlog"));
        Box::new(SlowFile { file, gate: of_the_log.then(|| Arc::clone(&self.gate)) })
    }
}

impl Disk for SlowDisk {
    fn create(&self, path: &Path, len: u64, reserve: Reserve) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, self.disk.create(path, len, reserve)?))
    }
    fn open(&self, path: &Path, access: Access) -> io::Result<Box<dyn DiskFile>> {
        Ok(self.file(path, self.disk.open(path, access)?))
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        self.disk.list(dir)
    }
    fn entry(&self, path: &Path) -> io::Result<Option<Entry>> {
        self.disk.entry(path)
    }
    fn create_dirs(&self, dir: &Path) -> io::Result<()> {
        self.disk.create_dirs(dir)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn replace(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.replace(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
    fn space(&self, dir: &Path) -> io::Result<Space> {
        self.disk.space(dir)
    }
    fn boot_id(&self) -> BootId {
        self.disk.boot_id()
    }
    fn describe(&self, dir: &Path) -> io::Result<Description> {
        self.disk.describe(dir)
    }
}

impl DiskFile for SlowFile {
    fn len(&self) -> u64 {
        self.file.len()
    }
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }
    fn store_mapped(&self, offset: u64, parts: &[&[u8]]) -> io::Result<()> {
        self.file.store_mapped(offset, parts)
    }
    fn sync(&self) -> io::Result<()> {
        self.gate.iter().for_each(|gate| gate.pass());
        self.file.sync()
    }
    fn sync_range(&self, offset: u64, len: u64) -> io::Result<()> {
        self.gate.iter().for_each(|gate| gate.pass());
        self.file.sync_range(offset, len)
    }
    fn view(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        self.file.view(offset, len)
    }
    fn reserve(&self) -> io::Result<()> {
        self.file.reserve()
    }
    fn make_ready(&self, offset: u64, len: u64) {
        self.file.make_ready(offset, len);
    }
    fn settle(&self, offset: u64, len: u64) {
        self.file.settle(offset, len);
    }
}

fn options(gate: &Arc<Gate>) -> Options {
    let disk = SlowDisk { disk: MappedDisk::new(), gate: Arc::clone(gate) };
    let options = Options::new().disk(disk).segment_bytes(256 << 20).max_message_bytes(1 << 20);
    options.index_slots(64).index_entries(4_096).queue_segment_entries(512)
}

/// A store with one message, that the next opener finds: its log file is one that is held.
fn begun(gate: &Arc<Gate>) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), options(gate).flush(SyncFlush)).unwrap();
    store.append(&sized(10)).unwrap().wait().unwrap();
    store.close().unwrap();
    folder
}

fn impatient() -> AsyncFlush {
    AsyncFlush { interval: Duration::from_millis(1), least_bytes: 1, at_latest: Duration::from_millis(1) }
}

fn sized(bytes: usize) -> Message {
    Message::new("orders", vec![b'x'; bytes])
}

/// Appends without waiting until the window is full. The acks, and the window.
fn fill_the_window(store: &Store, message: &Message) -> (Vec<Ack>, u64) {
    let mut acks = Vec::new();
    loop {
        match store.try_append(message) {
            Ok(ack) => acks.push(ack),
            Err(Error::Busy { unflushed, window }) if unflushed + (4 << 20) > window => {
                return (acks, window);
            }
            // The next segment is being made, or another thread had the tail for a moment: this one may wait for it.
            Err(Error::Busy { unflushed, window }) if unflushed + (8 << 20) < window => {
                acks.push(store.append(message).unwrap());
            }
            Err(Error::Busy { .. }) => std::thread::yield_now(),
            Err(other) => panic!("{other}"),
        }
    }
}

#[test]
fn async_appends_go_on_up_to_the_window_and_then_wait_for_the_sync_that_is_stuck() {
    let gate = Arc::new(Gate::default());
    let folder = begun(&gate);
    let store = Store::open(folder.path(), options(&gate).flush(impatient())).unwrap();
    let flushed = store.marks().flushed;

    let held = shut(&gate);
    let durable = store.append_with(&sized(10), Level::Flushed).unwrap();
    gate.until_one_is_held();
    let (acks, window) = fill_the_window(&store, &sized(1 << 20));
    println!("{} MiB taken while a sync was stuck, the window is {window} bytes", acks.len());
    assert!(acks.len() > 1_000 && acks.iter().all(Ack::is_done), "ASYNC waits for no sync");
    // Unknown, and how far it came.
    match durable.wait_timeout(Duration::from_millis(1)) {
        Err(Error::TimedOut { asked: Level::Flushed, reached: Some(Level::Written), .. }) => {}
        other => panic!("{other:?}"),
    }
    // Another one waits, after a few at most that still fit; what is there is read meanwhile.
    const MORE: usize = 8;
    let (says, hears) = channel();
    let waiting = store.clone();
    let producer = std::thread::spawn(move || {
        for _ in 0..MORE {
            waiting.append(&sized(1 << 20)).unwrap().wait().unwrap();
            says.send(()).unwrap();
        }
    });
    let fitted = std::iter::repeat_with(|| hears.recv_timeout(A_MOMENT)).take(MORE);
    assert!(fitted.take_while(Result::is_ok).count() < MORE, "the window is no bound");
    assert_eq!(store.scan(store.marks().first).take(50).filter(Result::is_ok).count(), 50);
    assert!(store.failure().is_none());
    assert_eq!(store.marks().flushed, flushed, "the durable mark moved without a sync");

    drop(held);
    producer.join().unwrap();
    durable.wait().unwrap();
    let count = acks.len() + 2 + MORE;
    drop(acks);
    store.close().unwrap();
    let store = Store::open(folder.path(), options(&gate).flush(impatient())).unwrap();
    assert!(store.recovery().clean_shutdown);
    assert_eq!(store.queue("orders", 0).max().0, count as u64);
    store.close().unwrap();
}

#[test]
fn sync_requests_run_out_of_time_with_an_unknown_outcome_and_arrive_in_the_end() {
    let gate = Arc::new(Gate::default());
    let folder = begun(&gate);
    let store = Store::open(folder.path(), options(&gate).flush(SyncFlush)).unwrap();
    let held = shut(&gate);
    let first = store.append(&sized(10)).unwrap();
    gate.until_one_is_held();
    let threads: Vec<_> = (0..8)
        .map(|n| {
            let store = store.clone();
            std::thread::spawn(move || {
                let ack = store.append(&sized(100 + n)).unwrap();
                let late = ack.wait_timeout(Duration::from_millis(20));
                assert!(matches!(late, Err(Error::TimedOut { asked: Level::Flushed, .. })), "{late:?}");
                ack
            })
        })
        .collect();
    let late: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    let (acks, window) = fill_the_window(&store, &sized(64 << 10));
    println!(
        "{} records of 64 KiB gathered while a sync was stuck, the window is {window} bytes",
        acks.len()
    );
    assert!(late.iter().chain(&acks).all(|ack| !ack.is_done()), "acknowledged without a sync");
    // These wait for the window, for a sync of their own, and for the sync that is stuck.
    let (says, hears) = channel();
    let waiting: Vec<_> = (0..3)
        .map(|way| {
            let (store, says) = (store.clone(), says.clone());
            std::thread::spawn(move || {
                let done = match way {
                    0 => store.append_and_wait(&sized(4 << 10)).map(drop),
                    1 => store.flush().map(drop),
                    _ => store.append(&sized(4 << 10)).and_then(|ack| ack.wait()),
                };
                says.send(way).unwrap();
                done
            })
        })
        .collect();
    assert_eq!(hears.recv_timeout(A_MOMENT), Err(RecvTimeoutError::Timeout));
    // Durable records alone are seen, and they are seen all the while.
    assert_eq!(store.scan(store.marks().first).map(Result::unwrap).count(), 1);
    assert!(store.failure().is_none(), "slow is not failed");

    drop(held);
    for ack in [first].iter().chain(&late).chain(&acks) {
        ack.wait().unwrap();
    }
    for thread in waiting {
        thread.join().unwrap().unwrap();
    }
    let count = 1 + 1 + late.len() + acks.len() + 2;
    drop((late, acks));
    assert_eq!(store.scan(store.marks().first).map(Result::unwrap).count(), count, "one each, none twice");
    store.close().unwrap();
}

#[test]
fn a_close_waits_for_the_sync_that_is_stuck_and_takes_nothing_more() {
    for sync in [true, false] {
        let gate = Arc::new(Gate::default());
        let folder = begun(&gate);
        let open = || {
            let options = options(&gate);
            let options = if sync { options.flush(SyncFlush) } else { options.flush(impatient()) };
            Store::open(folder.path(), options).unwrap()
        };
        let store = open();
        let held = shut(&gate);
        let ack = store.append(&sized(10)).unwrap();
        gate.until_one_is_held();
        let (says, hears) = channel();
        let closing = store.clone();
        let closer = std::thread::spawn(move || says.send(closing.close()).unwrap());
        assert!(hears.recv_timeout(A_MOMENT).is_err(), "closed over a running sync");
        let refused = store.append(&sized(10)).map(drop);
        assert!(matches!(refused, Err(Error::Closed)), "{refused:?}");
        drop(held);
        hears.recv().unwrap().unwrap();
        closer.join().unwrap();
        ack.wait().unwrap();
        drop((ack, store));
        let store = open();
        assert!(store.recovery().clean_shutdown);
        assert_eq!(store.scan(store.marks().first).count(), 2);
        store.close().unwrap();
    }
}
