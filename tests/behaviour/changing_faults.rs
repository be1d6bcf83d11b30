//! The flush policy changes while the disk is cut off, fails, or is written to by those who work ahead.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, Survivors};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::{Error, Level, LogOffset, Record, Store};

use crate::changing::{SMALL_WINDOW, own};
use crate::watched::{Gate, Watched, is_mark};
use crate::world::*;

/// A window that the mark does not know of makes an ordinary torn tail look like damage (promises rule 2): the larger
/// one stands in the mark before the first byte is accepted under it, the smaller one not before the last such byte
/// is flushed.
#[test]
fn a_tail_torn_beyond_the_old_window_is_no_damage_behind_a_change_nor_in_the_middle_of_one() {
    let world = World::new();
    let cuts = Arc::new(Mutex::new(Vec::new()));
    let (taken, disk) = (Arc::clone(&cuts), world.disk.clone());
    let disk = Watched::new(&world.disk, move |kind, path| {
        if taken.lock().len() < 40 && (is_mark(path) || (kind == OpKind::Sync && path.starts_with("/store")))
        {
            let seed = taken.lock().len() as u64;
            taken.lock().push(disk.power_cut(seed, Survivors::Sectors));
        }
        Ok(())
    });
    let options = options_on(disk, &world.clock, SyncFlush).max_message_bytes(55_000);
    let store = Store::open("/store", options).unwrap();
    store.append_and_wait(&numbered(0)).unwrap();
    store.set_flush(AsyncFlush::default()).unwrap();
    // Small ones at each segment's base: whole ones survive, far behind the first that does not.
    for _ in 0..100 {
        store.append(&sized(10)).unwrap().forget();
        store.append(&sized(54_000)).unwrap().forget();
        store.append(&sized(10_000)).unwrap().forget();
    }
    let marks = store.marks();
    assert!(marks.accepted.0 - marks.flushed.0 > SMALL_WINDOW, "{marks:?}");
    cuts.lock().clear();
    for seed in 0..10 {
        cuts.lock().push(world.disk.power_cut(seed, Survivors::Sectors));
    }
    store.set_flush(SyncFlush).unwrap();
    cuts.lock().push(world.disk.power_cut(0, Survivors::Sectors));
    let cuts = std::mem::take(&mut *cuts.lock());
    assert!(cuts.len() > 13, "{}", cuts.len());
    for cut in cuts {
        let store = Store::open("/store", World::on(cut).options(SyncFlush));
        assert!(store.is_ok(), "{store:?}");
    }
}

/// Zeroing goes on in a step of the janitor that began under the old policy; mapped stores do not wait for it.
#[test]
fn zeros_made_ahead_never_land_on_records_of_the_new_way() {
    // The segment of the tail, in the first step of all; and the one made ahead without zeros, into which the tail rolls
    // meanwhile.
    for (held_at, segment_bytes) in [("00000000000000000000", 1 << 20), ("00000000000000262144", 256 << 10)] {
        let is_first_step = held_at == "00000000000000000000";
        let world = World::new();
        let (gate, pass) = Gate::new();
        let disk = Watched::new(&world.disk, move |kind, path| {
            if kind == OpKind::Open && path.ends_with(held_at) {
                pass();
            }
            Ok(())
        });
        let options = options_on(disk, &world.clock, AsyncFlush::default()).segment_bytes(segment_bytes);
        let store = Store::open("/store", options).unwrap();
        let mut sent = 0;
        let mut send = |most_bytes: u64| {
            let until = store.marks().accepted.0 + most_bytes;
            while store.marks().accepted.0 < until {
                store.append(&numbered(sent)).unwrap().forget();
                sent += 1;
            }
        };
        if !is_first_step {
            send(segment_bytes / 2 + 1000);
            settle(&store);
        }
        store.set_flush(SyncFlush).unwrap();
        gate.shut();
        let janitor = store.clone();
        let stepping = std::thread::spawn(move || settle(&janitor));
        gate.wait_for_one();
        store.set_flush(AsyncFlush::default()).unwrap();
        send(segment_bytes * 3 / 4);
        gate.open();
        stepping.join().unwrap();
        let expected: Vec<String> = (0..sent).map(|n| format!("{n:08}")).collect();
        assert_eq!(bodies(&store).len(), expected.len());
        assert!(bodies(&store) == expected);
        store.close().unwrap();
        let again = Store::open("/store", world.options(SyncFlush).segment_bytes(segment_bytes)).unwrap();
        assert!(bodies(&again) == expected);
    }
}

#[test]
fn ways_of_writing_follow_one_another_within_a_segment() {
    let world = World::new();
    let options = world.options(SyncFlush).segment_bytes(1 << 20);
    let store = Store::open("/store", options).unwrap();
    for n in 0..4_000 {
        store.append(&numbered(n)).unwrap().forget();
        if n % 7 == 0 {
            store.step();
        }
        if n % 31 == 0 {
            store.set_flush(AsyncFlush::default()).unwrap();
        } else if n % 31 == 12 {
            store.set_flush(SyncFlush).unwrap();
        }
    }
    let expected: Vec<String> = (0..4_000).map(|n| format!("{n:08}")).collect();
    store.flush().unwrap();
    assert!(bodies(&store) == expected);
    let cut = World::on(world.disk.power_cut(3, Survivors::Nothing));
    let again = Store::open("/store", cut.options(SyncFlush).segment_bytes(1 << 20)).unwrap();
    assert!(bodies(&again) == expected);
}

/// Every call that a change makes fails once: the change is done, or the store has failed for good. What was
/// acknowledged is there when it is opened again.
#[test]
fn a_change_during_which_the_disk_fails_is_done_or_final() {
    for sync in [true, false] {
        let mut failures = 0;
        for nth in 1.. {
            let world = World::new();
            let store = if sync { world.sync() } else { world.asynchronous() };
            (0..5).for_each(|n| store.append(&numbered(n)).unwrap().forget());
            store.flush().unwrap();
            let durable = store.marks().flushed;
            (5..9).for_each(|n| store.append(&numbered(n)).unwrap().forget());
            let fired = world.disk.faults_fired();
            world.disk.fail_at(nth, Fault::once(FaultKind::Eio));
            let done = if sync { store.set_flush(AsyncFlush::default()) } else { store.set_flush(SyncFlush) };
            let met = world.disk.faults_fired() > fired;
            world.disk.clear_faults();
            match &done {
                Ok(()) => assert_eq!(store.marks().flushed, store.marks().accepted),
                Err(Error::Failed(_)) => {
                    failures += 1;
                    assert!(matches!(store.append(&numbered(9)), Err(Error::Failed(_))));
                    assert!(store.marks().visible >= durable);
                }
                Err(other) => panic!("{other}"),
            }
            drop(store);
            let cut = World::on(world.disk.power_cut(nth, Survivors::Nothing));
            let least = if done.is_ok() { 9 } else { 5 };
            let found = bodies(&cut.sync()).len();
            assert!(found >= least, "{found} of {least}, call {nth} failed");
            if !met {
                break;
            }
        }
        assert!(failures >= 3, "{failures}");
    }
}

/// A store into which another append comes while the first sync of the log runs that `armed` is there for.
fn disturbed(world: &World, sync: bool) -> (Store, Arc<Mutex<Option<Store>>>) {
    let armed = Arc::new(Mutex::new(None::<Store>));
    let here = Arc::clone(&armed);
    let disk = Watched::new(&world.disk, move |kind, path| {
        if kind == OpKind::Sync && path.starts_with("/store/commitlog") {
            let store = here.lock().take();
            store.into_iter().for_each(|store| store.append(&numbered(1)).unwrap().forget());
        }
        Ok(())
    });
    let options = match sync {
        true => options_on(disk, &world.clock, SyncFlush),
        false => options_on(disk, &world.clock, AsyncFlush::default()),
    };
    let store = Store::open("/store", options).unwrap();
    store.append(&numbered(0)).unwrap().forget();
    *armed.lock() = Some(store.clone());
    (store, armed)
}

#[test]
fn what_comes_while_the_policy_changes_is_written_in_order_and_made_durable() {
    for sync in [false, true] {
        let world = World::new();
        let (store, armed) = disturbed(&world, sync);
        let done = if sync { store.set_flush(AsyncFlush::default()) } else { store.set_flush(SyncFlush) };
        done.unwrap();
        assert!(armed.lock().is_none(), "nothing came in the middle");
        assert_eq!(bodies(&store), ["00000000", "00000001"]);
        store.append(&numbered(2)).unwrap().forget();
        store.flush().unwrap();
        assert_eq!(bodies(&store), ["00000000", "00000001", "00000002"]);
        let cut = World::on(world.disk.power_cut(0, Survivors::Nothing));
        assert_eq!(bodies(&cut.sync()).len(), 3);

        let world = World::new();
        let (store, _armed) = disturbed(&world, sync);
        let done = if sync { store.set_flush(AsyncFlush::default()) } else { store.set_flush(SyncFlush) };
        done.unwrap();
        let marks = store.marks();
        assert_eq!((marks.flushed, marks.visible), (marks.accepted, marks.accepted), "{marks:?}");
    }
}

#[test]
fn a_change_whose_second_sync_fails_is_final_and_loses_nothing_acknowledged() {
    let world = World::new();
    let (store, _armed) = disturbed(&world, false);
    // The first sync covers what was there, the second one what came meanwhile.
    world.disk.fail_at_aimed(
        Aim::anything().kind(OpKind::Sync).path("commitlog"),
        2,
        Fault::once(FaultKind::Eio),
    );
    assert!(matches!(store.set_flush(SyncFlush), Err(Error::Failed(_))));
    assert!(matches!(store.append(&numbered(3)), Err(Error::Failed(_))));
    assert_eq!(bodies(&store), ["00000000"], "what no sync covers is not shown any more");
    drop(store);
    let cut = World::on(world.disk.power_cut(0, Survivors::Nothing));
    assert_eq!(bodies(&cut.sync())[0], "00000000");
}

/// What one run by chance knows.
struct Run {
    world: World,
    /// The end of each record, in order.
    ends: Vec<LogOffset>,
    /// So many were acknowledged as flushed.
    durable: usize,
    seen: LogOffset,
}

impl Run {
    fn note(&mut self, store: &Store) {
        let marks = store.marks();
        assert!(marks.flushed <= marks.written && marks.written <= marks.accepted, "{marks:?}");
        assert!(self.seen <= marks.visible, "{marks:?} steps back from {}", self.seen);
        self.seen = marks.visible;
        self.durable = self.durable.max(self.ends.partition_point(|end| *end <= marks.flushed));
    }

    fn open(&mut self, random: u64) -> Store {
        let store = match random % 3 {
            0 => self.world.open(own(Level::Flushed)),
            1 => self.world.sync(),
            _ => self.world.asynchronous(),
        };
        let found = all(&store);
        assert!(found.len() >= self.durable, "{} of {}: {}", found.len(), self.durable, store.recovery());
        let is_sent = |(n, record): (usize, &Record)| record.position.end() == self.ends[n];
        assert!(found.iter().enumerate().all(is_sent), "another log than the one that was written");
        self.ends.truncate(found.len());
        (self.durable, self.seen) = (found.len(), LogOffset(0));
        store
    }

    fn append(&mut self, store: &Store, random: u64) {
        let message = sized((random >> 20) as usize % 9_000);
        let ack = match random >> 16 & 3 {
            0 => store.append_with(&message, Level::Flushed).unwrap(),
            1 => store.append_with(&message, Level::Written).unwrap(),
            _ => store.append(&message).unwrap(),
        };
        self.ends.push(ack.end());
        ack.forget();
    }
}

#[test]
fn policies_changed_by_chance_among_appends_restarts_and_power_cuts_keep_every_promise() {
    let seeds = if std::env::var_os("SAWLOG_QUICK").is_some() { 40 } else { 400 };
    for seed in 1..=seeds {
        let mut random = 0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed);
        let mut run = Run { world: World::new(), ends: Vec::new(), durable: 0, seen: LogOffset(0) };
        let mut store = run.open(seed);
        for _ in 0..120 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            match random % 40 {
                0..20 => run.append(&store, random),
                20..25 => drop(store.step()),
                25 => drop(store.flush().unwrap()),
                26 => run.world.clock.turn(Duration::from_millis(random >> 8 & 0xFFF)),
                27..31 => store.set_flush(SyncFlush).unwrap(),
                31..35 => store.set_flush(AsyncFlush::default()).unwrap(),
                35 => store.set_flush(own(Level::Written)).unwrap(),
                36 => store.set_flush(own(Level::Flushed)).unwrap(),
                37 => {
                    store.close().unwrap();
                    run.durable = run.ends.len();
                    store = run.open(random >> 8);
                }
                _ => {
                    let model = Survivors::ALL[(random >> 8) as usize % 5];
                    let left = run.world.disk.power_cut(random, model);
                    drop(store);
                    run.world = World { disk: left, clock: Arc::clone(&run.world.clock) };
                    store = run.open(random >> 16);
                }
            }
            run.note(&store);
        }
    }
}
