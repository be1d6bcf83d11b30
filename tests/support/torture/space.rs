//! Disks that fill and are freed, and stores that only ever crash (promises D2 and D7).

use std::path::Path;
use std::time::Duration;

use sawlog::disk::Disk;
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::inspect::Look;
use sawlog::{Error, LogOffset, Message, Retention, Store};

use super::super::expected::{Expected, ROOT, Taken};
use super::super::oracle::{check_log, examine};
use super::super::workload::{Size, Workload, clock, options};
use super::{Bar, Job, Until};

pub(super) fn bars() -> Vec<Bar> {
    vec![
        Bar {
            names: &["D2"],
            tries: "the disk fills, byte for byte elsewhere, and is freed: appends go on without a restart",
            until: Until::Cases(1_000),
            job: fill_and_free,
        },
        Bar {
            names: &["D3"],
            tries: "an image with 0 bytes free: read without a write; opened, or told how much room it takes",
            until: Until::Cases(10_000),
            job: open_without_room,
        },
        Bar {
            names: &["D7"],
            tries: "opened and crashed without traffic, again and again: the store does not grow",
            until: Until::Cases(10_000),
            job: crash_loop,
        },
    ]
}

fn fill_and_free(job: &Job<'_>) {
    let disk = SimDisk::new();
    let clock = clock();
    let sync = job.number.is_multiple_of(2);
    let mut capacity = 200 << 10;
    disk.capacity_bytes(capacity);
    // Retention would make room, and the disk never fill.
    let kept = options(&disk, &clock, sync).retention(Retention::keep_all());
    let store = Store::open(ROOT, kept).unwrap();
    let log = std::cell::RefCell::new(Expected::default());
    for cycle in 0..50 {
        job.chained_case(&format!("cycle {cycle}"), |dice| {
            let mut log = log.borrow_mut();
            let mut appended = 0;
            let error = loop {
                appended += 1;
                if appended > 2_000 {
                    return Err("the disk does not fill".into());
                }
                let message = Message::new("orders", vec![1; dice.below(9_000) as usize]);
                match store.append_and_wait(&message) {
                    Ok(stored) => log.taken.push(Taken::new(&message, &stored)),
                    Err(error) => break error,
                }
                store.step();
            };
            if !error.is_full() || store.failure().is_some() {
                return Err(format!("{error}; failed: {:?}", store.failure()));
            }
            check_log(&store, &log).map_err(|e| format!("while full: {e}"))?;
            capacity += (100 << 10) + dice.below(64 << 10);
            disk.capacity_bytes(capacity);
            clock.turn(Duration::from_secs(1));
            store.step();
            let message = Message::new("orders", "goes on");
            let stored = store.append_and_wait(&message).map_err(|e| format!("freed, and yet: {e}"))?;
            log.taken.push(Taken::new(&message, &stored));
            Ok(())
        });
    }
    drop(store.close());
}

/// More than any store here needs.
const AMPLE_BYTES: u64 = 1 << 40;

/// A reader shows all that was promised, in log order, whatever the crash has left, and changes nothing.
fn read_only(disk: &SimDisk, log: &Expected, promised: LogOffset) -> Result<(), String> {
    let before = disk.fingerprint();
    let promised = log.up_to(promised);
    let read = |error: Error| format!("read without room: {error}");
    let reader = match Look::at(ROOT).disk(disk.clone()).reader() {
        // Not even the folder's name was durable.
        Err(Error::Foreign { .. }) if promised.is_empty() => return Ok(()),
        reader => reader.map_err(read)?,
    };
    let mut scan = reader.scan(reader.first().map_err(read)?);
    for taken in promised {
        taken.check(&scan.next().ok_or("the scan ends early")?.map_err(read)?)?;
    }
    match disk.fingerprint() == before {
        true => Ok(()),
        false => Err("reading has changed something".into()),
    }
}

fn open_without_room(job: &Job<'_>) {
    let work = Workload::run(job.shared_seed(), Size::STANDARD);
    let mut replay = work.disk.replay();
    for at in (0..=replay.len()).step_by(3) {
        replay.advance_to(at);
        job.case(&format!("cut at {at}, opened with no room"), |dice| {
            let model = Survivors::ALL[dice.below(5) as usize];
            let cut = replay.power_cut(dice.draw(), model);
            let promised = work.log.promised(work.log.end_of_last(|t| t.flushed.is_by(at)), at);
            let (mut room, mut tries) = (0, 0);
            loop {
                cut.capacity_bytes(AMPLE_BYTES);
                let space = cut.space(Path::new("/")).map_err(|e| e.to_string())?;
                cut.capacity_bytes(space.total - space.free + room);
                if tries == 0 {
                    read_only(&cut, &work.log, promised.end)?;
                }
                match Store::open(ROOT, options(&cut, &clock(), dice.percent(50))) {
                    Ok(_) => break,
                    // Each names all that could be told by then: for small files, with the plan, with a segment.
                    Err(Error::Full { free, needed }) if free < needed && needed >= room && tries < 3 => {
                        (room, tries) = (needed, tries + 1);
                    }
                    Err(why) => return Err(format!("{room} bytes free, attempt {tries}: {why}")),
                }
                if cut.open_handles() > 0 {
                    return Err(format!("{} handles are left open", cut.open_handles()));
                }
            }
            job.met(
                format!("opened at the {tries}. answer, with at most {} KiB", room.next_power_of_two() >> 10),
                1,
            );
            // What the failed attempts left is as good as what they found.
            cut.capacity_bytes(AMPLE_BYTES);
            examine(&cut, &work.log, promised, dice.draw()).map(drop)
        });
        if job.is_over() {
            return;
        }
    }
}

fn crash_loop(job: &Job<'_>) {
    let mut disk = SimDisk::new();
    let store = Store::open(ROOT, options(&disk, &clock(), true)).unwrap();
    for number in 0..20 {
        store.append_and_wait(&Message::new("orders", vec![number; 3_000])).unwrap();
    }
    drop(store);
    let bytes = |disk: &SimDisk| disk.files().iter().map(|(_, len)| len).sum::<u64>();
    let mut first = None;
    for _ in 0..1_000 {
        let next = std::cell::RefCell::new(None);
        job.chained_case("opened, crashed", |dice| {
            let left = match dice.below(3) {
                0 => disk.kill(),
                _ => disk.power_cut(dice.draw(), Survivors::ALL[dice.below(5) as usize]),
            };
            let store = Store::open(ROOT, options(&left, &clock(), true)).map_err(|e| e.to_string())?;
            let (end, used) = (store.marks().visible, bytes(&left));
            drop(store);
            next.replace(Some(left));
            let (end_then, used_then) = *first.get_or_insert((end, used));
            match end == end_then && used <= used_then + super::super::expected::SEGMENT_BYTES {
                true => Ok(()),
                false => Err(format!("first {used_then} bytes, ended at {end_then}; now {used} and {end}")),
            }
        });
        disk = next.into_inner().unwrap_or(disk);
    }
}
