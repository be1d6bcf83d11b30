//! A listener is told what happens, in order, with no lock of the store held; and nothing that it does hurts the store.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{
    Damage, Damaged, Error, Failed, Flushed, FoundBy, Listener, LogOffset, OnDamage, Options, QueueOffset,
    RecoveryReport, Rolled, Store, Swept,
};

use crate::world::*;

/// Writes down what it hears.
#[derive(Default)]
struct Ear {
    heard: Mutex<Vec<String>>,
    flushed: Mutex<Vec<Flushed>>,
    damaged: Mutex<Vec<Damaged>>,
    threads: Mutex<Vec<Option<String>>>,
}

impl Ear {
    fn note(&self, what: String) {
        self.threads.lock().push(std::thread::current().name().map(str::to_owned));
        self.heard.lock().push(what);
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.heard.lock())
    }
}

impl Listener for Ear {
    fn recovered(&self, report: &RecoveryReport) {
        self.note(format!("recovered at {}", report.log_end));
    }
    fn rolled(&self, rolled: &Rolled) {
        self.note(format!("rolled {} {}", rolled.from, rolled.to));
    }
    fn flushed(&self, flushed: &Flushed) {
        self.note(format!("flushed {} in {}", flushed.records, flushed.syncs));
        self.flushed.lock().push(*flushed);
    }
    fn swept(&self, swept: &Swept) {
        self.note(format!("swept {} up to {}", swept.segments, swept.first));
    }
    fn damaged(&self, damaged: &Damaged) {
        self.note(format!("damaged at {}", damaged.corruption.at));
        self.damaged.lock().push(damaged.clone());
    }
    fn failed(&self, failed: &Failed) {
        self.note(format!("failed: {}", matches!(failed.error, Error::Failed(_))));
    }
}

fn with(world: &World, ear: &Arc<impl Listener + 'static>) -> Options {
    world.options(SyncFlush).listener(Arc::clone(ear))
}

#[test]
fn everything_is_told_in_the_order_in_which_it_happened() {
    let (world, ear) = (World::new(), Arc::new(Ear::default()));
    let store = Store::open("/store", with(&world, &ear)).unwrap();
    settle(&store);
    assert_eq!(ear.take(), ["recovered at 0"]);
    for _ in 0..3 {
        store.append(&sized(30_000)).unwrap().forget();
    }
    store.flush().unwrap();
    assert!(ear.take().is_empty(), "nobody is told in the thread that appends or flushes");
    settle(&store);
    assert_eq!(ear.take(), ["rolled 0 65536", "flushed 3 in 1"]);
    let flushed = ear.flushed.lock().pop().unwrap();
    assert_eq!((flushed.from, flushed.to, flushed.records), (LogOffset(0), store.marks().flushed, 3));
    store.remove_before(LogOffset(SEGMENT)).unwrap();
    settle(&store);
    assert_eq!(ear.take(), ["swept 1 up to 65536"]);
    store.append(&numbered(0)).unwrap().forget();
    let aim = Aim::anything().kind(OpKind::Sync).path("commitlog");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
    store.flush().unwrap_err();
    store.flush().unwrap_err();
    settle(&store);
    assert_eq!(ear.take(), ["failed: true"], "once");
}

#[test]
fn what_is_left_is_told_before_close_returns() {
    let (world, ear) = (World::new(), Arc::new(Ear::default()));
    let store = Store::open("/store", with(&world, &ear)).unwrap();
    store.append(&numbered(0)).unwrap().forget();
    store.close().unwrap();
    assert_eq!(ear.take(), ["recovered at 0", "flushed 1 in 1"]);
    // A closed store failed in nothing.
    drop(Store::open("/store", with(&world, &ear)).unwrap());
    assert_eq!(ear.take().len(), 1);
}

#[test]
fn listeners_have_a_thread_of_their_own_and_all_of_them_are_told() {
    let (folder, ears) = (tempfile::tempdir().unwrap(), [Arc::new(Ear::default()), Arc::new(Ear::default())]);
    let told = Arc::new(AtomicU64::new(0));
    let (says, heard) = std::sync::mpsc::channel();
    struct Says(Mutex<std::sync::mpsc::Sender<()>>);
    impl Listener for Says {
        fn flushed(&self, _: &Flushed) {
            let _ = self.0.lock().send(());
        }
    }
    let options = Options::new().flush(SyncFlush).segment_bytes(1 << 20);
    let options = ears.iter().fold(options, |options, ear| options.listener(Arc::clone(ear)));
    let store = Store::open(folder.path(), options.listener(Says(Mutex::new(says)))).unwrap();
    store.append_and_wait(&numbered(0)).unwrap();
    heard.recv_timeout(PATIENCE).expect("told by itself, not only at the end");
    for ear in &ears {
        assert_eq!(ear.take(), [String::from("recovered at 0"), "flushed 1 in 1".into()]);
        assert!(ear.threads.lock().iter().all(|name| name.as_deref() == Some("sawlog-listener")));
        told.fetch_add(1, Ordering::Relaxed);
    }
    assert_eq!(told.load(Ordering::Relaxed), 2);
    store.close().unwrap();
}

#[test]
fn a_panic_in_a_listener_hurts_neither_the_store_nor_later_events() {
    struct Panics(Arc<Ear>);
    impl Listener for Panics {
        fn rolled(&self, _: &Rolled) {
            panic!("a user's mistake");
        }
        fn flushed(&self, flushed: &Flushed) {
            self.0.flushed(flushed);
            panic!("another");
        }
        fn failed(&self, _: &Failed) {
            panic!("and one at the end");
        }
    }
    for by_hand in [true, false] {
        let (world, ear) = (World::new(), Arc::new(Ear::default()));
        let folder = tempfile::tempdir().unwrap();
        let panics = Arc::new(Panics(Arc::clone(&ear)));
        let store = match by_hand {
            true => Store::open("/store", with(&world, &panics)),
            false => Store::open(
                folder.path(),
                Options::new().flush(SyncFlush).segment_bytes(SEGMENT).listener(Arc::clone(&panics)),
            ),
        };
        let store = store.unwrap();
        for _ in 0..6 {
            store.append_and_wait(&sized(30_000)).unwrap();
            if by_hand {
                settle(&store);
            }
        }
        assert_eq!((all(&store).len(), store.failure().is_none()), (6, true));
        let watching = store.clone();
        store.close().unwrap();
        let heard = ear.flushed.lock();
        assert_eq!(heard.iter().map(|flushed| flushed.records).sum::<u64>(), 6, "it was called again");
        assert_eq!(watching.stats().listener_panics, heard.len() as u64 + 2, "and twice at a roll");
    }
}

#[test]
fn a_listener_may_use_its_store_and_even_close_it() {
    #[derive(Default)]
    struct Uses {
        store: OnceLock<Store>,
        read: AtomicU64,
    }
    impl Listener for Uses {
        fn flushed(&self, _: &Flushed) {
            let Some(store) = self.store.get() else { return };
            self.read.store(store.scan(LogOffset(0)).count() as u64, Ordering::SeqCst);
            if self.read.load(Ordering::SeqCst) < 3 {
                store.append_and_wait(&numbered(7)).unwrap();
            } else {
                let _ = store.clone().close();
            }
        }
    }
    let (folder, uses) = (tempfile::tempdir().unwrap(), Arc::new(Uses::default()));
    let options = Options::new().flush(SyncFlush).segment_bytes(SEGMENT).listener(Arc::clone(&uses));
    let store = Store::open(folder.path(), options).unwrap();
    uses.store.set(store.clone()).unwrap();
    store.append_and_wait(&numbered(0)).unwrap();
    assert!(store.flushed().reach(LogOffset(1 << 40)).wait_timeout(PATIENCE).is_err(), "it was closed");
    store.close().unwrap();
    assert_eq!(uses.read.load(Ordering::SeqCst), 3);
    // Two ways to the store remain: the listener's own, and that of the store to the listener.
    let again = Store::open(folder.path(), Options::new().segment_bytes(SEGMENT)).unwrap();
    assert_eq!(all(&again).len(), 3);
}

#[test]
fn many_flushes_that_nobody_hears_are_told_as_one_and_none_is_lost() {
    let (world, ear) = (World::new(), Arc::new(Ear::default()));
    let store = Store::open("/store", with(&world, &ear)).unwrap();
    for n in 0..5000 {
        store.append(&numbered(n)).unwrap().forget();
        store.flush().unwrap();
    }
    let rolls = store.stats().segments - 1;
    settle(&store);
    let heard = ear.take();
    assert!(heard.len() as u64 <= 64 + 2 * rolls + 1, "{} events", heard.len());
    let flushed = ear.flushed.lock();
    assert_eq!(flushed.iter().map(|flushed| flushed.records).sum::<u64>(), 5000);
    assert_eq!(flushed.iter().map(|flushed| flushed.syncs).sum::<u64>(), 5000);
    assert!(flushed.windows(2).all(|two| two[0].to == two[1].from), "without a gap");
    assert_eq!(store.stats().unheard_events, 0);
}

/// A store whose record `n` of three has a body that rot has changed.
fn rotten(world: &World) -> QueueOffset {
    let store = world.sync();
    let places: Vec<_> = (0..3).map(|n| store.append_and_wait(&numbered(n)).unwrap().position).collect();
    store.close().unwrap();
    // Near a record's end stands the name of its checksum's property.
    let byte = places[1].end().0 - 20;
    world.disk.flip("/store/commitlog/00000000000000000000", byte * 8).unwrap();
    QueueOffset(1)
}

#[test]
fn damage_that_a_reader_meets_is_told_once_for_each_place() {
    let (world, ear) = (World::new(), Arc::new(Ear::default()));
    let at = rotten(&world);
    // Where the log was closed in order, opening scans the last segment: rot there is found before a reader comes.
    let refused = Store::open("/store", with(&world, &ear)).unwrap_err();
    let Error::Corrupt(place) = refused else { panic!("{refused:?}") };
    let told = ear.damaged.lock().pop().unwrap();
    assert_eq!((told.corruption, told.found_by), (place.clone(), FoundBy::Opening));
    ear.take();

    // The same in an open store.
    let world = World::new();
    let store = Store::open("/store", with(&world, &ear)).unwrap();
    let places: Vec<_> = (0..3).map(|n| store.append_and_wait(&numbered(n)).unwrap().position).collect();
    settle(&store);
    ear.take();
    world.disk.flip(&place.path, (places[1].end().0 - 20) * 8).unwrap();
    for _ in 0..3 {
        let read = store.queue("orders", 0).record_at(at);
        assert!(matches!(read, Err(Error::Corrupt(_))), "{read:?}");
        assert!(store.scan(LogOffset(0)).any(|record| record.is_err()));
        assert!(store.record_at(places[1].offset).is_err());
        settle(&store);
    }
    assert_eq!(ear.take(), [format!("damaged at {}", places[1].offset)]);
    let told = ear.damaged.lock().pop().unwrap();
    assert_eq!((told.corruption.what, told.found_by), (Damage::NoRecordChecksum, FoundBy::Reading));
    assert_eq!(store.stats().damaged_places, 1);
    // A question that makes no sense is no damage.
    assert!(store.record_at(LogOffset(5)).is_err());
    assert!(store.scan(LogOffset(5)).any(|record| record.is_err()));
    settle(&store);
    assert!(ear.take().is_empty());
}

#[test]
fn damage_that_was_cut_is_told_behind_the_recovery() {
    let (world, ear) = (World::new(), Arc::new(Ear::default()));
    rotten(&world);
    let options = with(&world, &ear).on_damage(OnDamage::FirstBroken);
    let store = Store::open("/store", options).unwrap();
    settle(&store);
    let cut = &store.recovery().cuts[0];
    assert_eq!(ear.take(), [format!("recovered at {}", cut.from), format!("damaged at {}", cut.why.at)]);
}

#[test]
fn without_a_listener_nothing_is_kept_for_one() {
    let world = World::new();
    let store = world.open(AsyncFlush::default());
    for n in 0..200 {
        store.append(&numbered(n)).unwrap().forget();
        store.flush().unwrap();
    }
    let stats = store.stats();
    assert_eq!((stats.unheard_events, stats.listener_panics), (0, 0));
    assert_eq!(format!("{:?}", Options::new().listener(Ear::default())).matches("Listeners(1)").count(), 1);
}
