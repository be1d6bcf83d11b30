//! What an opening does by its verdict: which numbers are taken, what the mark says before anything is cut, which records
//! must carry a checksum, how far zeros go, and what becomes of listed parts.

use std::path::Path;

use sawlog::disk::Disk;
use sawlog::disk::sim::{Aim, Fault, FaultKind, OpKind, Survivors};
use sawlog::flush::{AsyncFlush, SyncFlush};
use sawlog::message::{Checksum, MIN_RECORD_BYTES, SysFlags, Transaction};
use sawlog::{Damage, Error, LogOffset, LogRange, Message, OnDamage, Options, Position, QueueOffset, Store};

use crate::world::*;

const LOG: &str = "/store/commitlog/00000000000000000000";

/// Five records that no sync covered, in a store whose process was killed.
fn killed() -> (World, Vec<Position>) {
    let world = World::new();
    let store = world.asynchronous();
    let places = (0..5).map(|n| written(&store, &numbered(n).key(&format!("key-{n}")))).collect();
    (World::on(world.disk.kill()), places)
}

/// Appends without a sync.
fn written(store: &Store, message: &Message) -> Position {
    let ack = store.append_with(message, sawlog::Level::Written).unwrap();
    let position = ack.position();
    ack.forget();
    position
}

fn to_queue(queue: u32, body: &str) -> Message {
    Message::new("orders", body.to_owned()).queue(queue)
}

/// Turns a bit of the byte so far behind the record's beginning.
fn rot(world: &World, place: Position, byte: u64) {
    let base = place.offset.0 / SEGMENT * SEGMENT;
    world.disk.flip(format!("/store/commitlog/{base:020}"), (place.offset.0 - base + byte) * 8).unwrap();
}

/// A byte of the body of a record with IPv4 hosts.
const BODY: u64 = BODY_FROM + 2;
/// With hosts of IPv4 a body begins so far behind its record's beginning (spec 2.1).
const BODY_FROM: u64 = 88;

fn part(place: Position) -> LogRange {
    LogRange { from: place.offset, to: place.end() }
}

fn rule(world: &World, on_damage: OnDamage) -> Options {
    world.options(AsyncFlush::default()).on_damage(on_damage)
}

fn opened(world: &World, on_damage: OnDamage) -> Result<Store, Error> {
    Store::open("/store", rule(world, on_damage))
}

/// The next open cannot sync the log.
fn no_sync_once(world: &World) {
    let aim = Aim::anything().kind(OpKind::Sync).path("/store/commitlog");
    world.disk.fail_at_aimed(aim, 1, Fault::once(FaultKind::Eio));
}

/// The queue has other records, so its end could be read from the log; but the listed one had the number behind.
#[test]
fn the_number_of_a_listed_message_is_not_given_again_though_its_queue_has_others() {
    let world = World::new();
    let store = world.sync();
    let append = |n| store.append_and_wait(&to_queue(u32::from(n == 5 || n == 7), "paid")).unwrap().position;
    let places: Vec<_> = (0..10).map(append).collect();
    settle(&store);
    store.close().unwrap();
    // The magic number: nothing of what it says is believed.
    rot(&world, places[7], 6);
    let rule = world.options(SyncFlush).on_damage(OnDamage::Quarantine).rebuild_derived();
    let store = Store::open("/store", rule).unwrap();
    assert_eq!(store.quarantined(), [part(places[7])]);
    assert!(store.recovery().queues_moved_back.is_empty(), "{}", store.recovery());
    assert_eq!(store.append(&to_queue(1, "next")).unwrap().queue_offset(), QueueOffset(2));
}

/// What no count covers yet, the broken records themselves say: of one whose body alone is broken the number is heard.
#[test]
fn the_number_of_a_listed_message_that_nothing_has_counted_is_not_given_again() {
    let world = World::new();
    let store = world.sync();
    for _ in 0..3 {
        store.append_and_wait(&to_queue(0, "paid")).unwrap();
    }
    settle(&store);
    store.close().unwrap();
    let store = world.asynchronous();
    let hurt = [written(&store, &to_queue(1, "first")), written(&store, &to_queue(2, "first"))];
    let store = {
        written(&store, &to_queue(0, "paid"));
        let world = World::on(world.disk.kill());
        hurt.iter().for_each(|place| rot(&world, *place, BODY));
        // A number that leaps further than so many bytes can hold records is none.
        rot(&world, hurt[1], 22);
        opened(&world, OnDamage::Quarantine).unwrap()
    };
    assert_eq!(store.quarantined(), [LogRange { from: hurt[0].offset, to: hurt[1].end() }]);
    let next = [0, 1, 2].map(|queue| store.append(&to_queue(queue, "next")).unwrap().queue_offset().0);
    assert_eq!(next, [4, 1, 0]);
}

/// A damaged part that tells nothing may have held as many messages as records fit into it, and no more.
#[test]
fn behind_a_part_that_tells_nothing_a_number_may_leap_by_what_may_be_lost_in_it() {
    let least = u64::from(MIN_RECORD_BYTES);
    let world = World::new();
    let store = world.asynchronous();
    let body = "x".repeat(body_for(&store, 2 * least));
    let hurt = [1, 1, 2].map(|queue| {
        let place = written(&store, &to_queue(queue, &body));
        written(&store, &to_queue(0, "paid"));
        place
    });
    assert_eq!(u64::from(hurt[0].len), 2 * least);
    let world = World::on(world.disk.kill());
    // The lengths of the first do not add up; the third, too, says that it is the 257th of its queue.
    rot(&world, hurt[0], BODY_FROM - 2);
    rot(&world, hurt[1], BODY);
    rot(&world, hurt[2], BODY);
    rot(&world, hurt[2], 26);
    let store = opened(&world, OnDamage::Quarantine).unwrap();
    assert_eq!(store.quarantined(), hurt.map(part));
    let next = [1, 2].map(|queue| store.queue("orders", queue).max());
    assert_eq!(next, [QueueOffset(2), QueueOffset(0)]);
}

/// A message that is in no queue has no number, whatever stands in that field.
#[test]
fn a_listed_half_message_takes_no_number() {
    let world = World::new();
    let store = world.asynchronous();
    let half = to_queue(1, "half").sys_flags(SysFlags::default().with_transaction(Transaction::Prepared));
    let hurt = written(&store, &half);
    written(&store, &to_queue(0, "paid"));
    let world = World::on(world.disk.kill());
    rot(&world, hurt, BODY);
    let store = opened(&world, OnDamage::Quarantine).unwrap();
    assert_eq!(store.quarantined(), [part(hurt)]);
    assert_eq!(store.append(&to_queue(1, "next")).unwrap().queue_offset(), QueueOffset(0));
}

/// The mark says how far the log surely reaches. Whoever cuts below says so first, or an opening that is itself cut short
/// leaves a log that is refused for ever.
#[test]
fn before_the_log_is_cut_below_what_was_durable_the_mark_says_so() {
    let world = World::new();
    let store = world.sync();
    let places: Vec<_> = (0..5).map(|n| store.append_and_wait(&numbered(n)).unwrap().position).collect();
    store.close().unwrap();
    rot(&world, places[2], BODY);
    no_sync_once(&world);
    let rule = world.options(SyncFlush).on_damage(OnDamage::FirstBroken).rebuild_derived();
    assert!(matches!(Store::open("/store", rule), Err(Error::Io { .. })));
    let store = Store::open("/store", world.options(SyncFlush)).unwrap();
    assert_eq!((store.recovery().log_end, all(&store).len()), (places[2].offset, 2));
}

/// And it is never raised on the way: what stands before the damage may not be durable.
#[test]
fn damage_above_what_was_durable_raises_no_mark() {
    let (world, places) = killed();
    rot(&world, places[2], BODY);
    no_sync_once(&world);
    assert!(matches!(opened(&world, OnDamage::FirstBroken), Err(Error::Io { .. })));
    let world = World::on(world.disk.power_cut(1, Survivors::Nothing));
    let store = opened(&world, OnDamage::Refuse).unwrap();
    assert_eq!(all(&store).len(), 0, "none of them was ever promised");
}

/// What we wrote carries our checksum, above the durable mark as well: rot outside of a body is seen there, too.
#[test]
fn an_unsynced_record_whose_properties_rotted_is_no_record() {
    let (world, places) = killed();
    let log = world.disk.read_file(LOG).unwrap();
    let record = &log[places[4].offset.0 as usize..places[4].end().0 as usize];
    let key = record.windows(5).position(|bytes| bytes == b"key-4").unwrap() as u64;
    rot(&world, places[4], key + 4);
    let store = opened(&world, OnDamage::Refuse).unwrap();
    assert_eq!((store.recovery().log_end, all(&store).len()), (places[4].offset, 4));
}

/// A broker recovered the store after our death, wrote on without our checksum, and closed it.
#[test]
fn what_a_broker_wrote_behind_our_death_needs_no_checksum_of_ours() {
    let (world, places) = killed();
    let other = World::new();
    let same = other.asynchronous();
    (0..5)
        .for_each(|n| assert_eq!(written(&same, &numbered(n).key(&format!("key-{n}"))), places[n as usize]));
    same.close().unwrap();
    let broker = Store::open("/store", other.options(SyncFlush).checksum(Checksum::Body)).unwrap();
    let append = |n: u64| broker.append_and_wait(&numbered(10 + n)).unwrap().position.end();
    let end = (0..3).map(append).max().unwrap();
    broker.close().unwrap();
    let from = places[4].end().0;
    let theirs = &other.disk.read_file(LOG).unwrap()[from as usize..end.0 as usize];
    world.disk.overwrite(LOG, from, theirs).unwrap();
    world.disk.remove(Path::new("/store/abort")).unwrap();
    let store = opened(&world, OnDamage::Refuse).unwrap();
    let report = store.recovery();
    assert!(report.foreign_writer && report.cuts.is_empty(), "{report}");
    assert_eq!(all(&store).len(), 8);
}

/// We never have more than a window behind what is durable, so nothing of ours lies beyond it. A broker knows no window:
/// what it left is kept, however far behind the log's end.
#[test]
fn rubbish_of_a_broker_is_kept_however_far_behind_the_end_it_lies() {
    let world = World::new();
    let options = || world.options(SyncFlush).max_message_bytes(1_000);
    let store = Store::open("/store", options()).unwrap();
    let end = store.append_and_wait(&numbered(0)).unwrap().position.end();
    store.close().unwrap();
    world.disk.write_file("/store/abort", "4711").unwrap();
    // Beyond the window of 4 MiB and two records.
    let last = 70;
    for number in 1..=last {
        let mut bytes = vec![0; SEGMENT as usize];
        bytes[100] = u8::from(number == last);
        world.disk.write_file(format!("/store/commitlog/{:020}", number * SEGMENT), bytes).unwrap();
    }
    let store = Store::open("/store", options()).unwrap();
    assert!(store.recovery().foreign_writer && store.recovery().log_end == end, "{}", store.recovery());
    assert!(world.has(&format!("sawlog/cut-{:020}", last * SEGMENT)));
}

/// After a failed sync the page cache shows zeros that the disk never got: rubbish would be back with the next power cut,
/// behind whatever the log has grown by then.
#[test]
fn zeros_whose_sync_failed_are_written_again_though_they_can_be_read() {
    let (world, places) = killed();
    rot(&world, places[4], BODY);
    // All of it is on the medium, the broken record too.
    let world = World::on(world.disk.power_cut(1, Survivors::Everything));
    no_sync_once(&world);
    assert!(matches!(opened(&world, OnDamage::Refuse), Err(Error::Io { .. })));
    let rest = |world: &World| world.disk.read_file(LOG).unwrap()[places[4].offset.0 as usize..].to_vec();
    assert!(rest(&world).iter().all(|byte| *byte == 0), "the cache shows zeros");
    assert_eq!(all(&opened(&world, OnDamage::Refuse).unwrap()).len(), 4);
    let world = World::on(world.disk.power_cut(1, Survivors::Nothing));
    assert!(rest(&world).iter().all(|byte| *byte == 0), "and so does the medium");
}

/// Two bytes that are alike are rubbish as any others.
#[test]
fn two_equal_bytes_behind_the_end_are_seen_kept_and_gone() {
    let (world, places) = killed();
    let at = places[4].end().0 + 10;
    world.disk.overwrite(LOG, at, &[7, 7]).unwrap();
    let store = opened(&world, OnDamage::Refuse).unwrap();
    let cuts: Vec<_> = store.recovery().cuts.iter().map(|cut| (cut.from, cut.to.0)).collect();
    assert_eq!(cuts, [(places[4].end(), at + 2)]);
    assert_eq!(world.disk.read_file(LOG).unwrap()[at as usize..][..2], [0, 0]);
}

/// Zeros with something behind them are an unwritten tail. That the log ends early is said of one that is durable further
/// on, and of no other.
#[test]
fn a_tail_that_begins_with_zeros_is_told_as_unwritten() {
    for is_covered in [false, true] {
        let world = World::new();
        let mut store = world.asynchronous();
        for n in 0..4 {
            written(&store, &numbered(n));
        }
        if is_covered {
            store.close().unwrap();
            store = world.asynchronous();
        }
        let torn = written(&store, &numbered(4));
        let world = World::on(world.disk.kill());
        world.disk.overwrite(LOG, torn.offset.0, &[0; 8]).unwrap();
        let store = opened(&world, OnDamage::Refuse).unwrap();
        let [cut] = &store.recovery().cuts[..] else { panic!("{}", store.recovery()) };
        assert_eq!((cut.from, &cut.why.what), (torn.offset, &Damage::Unwritten));
    }
}

/// A store of several segments in which these records have rotted and are listed, closed in order.
fn listed(hurt: &[usize]) -> (World, Vec<Position>) {
    let world = World::new();
    let store = world.sync();
    let append = |n: u64| {
        let message = sized(700).queue((n % 2) as u32).key(&format!("key-{n}"));
        store.append_and_wait(&message).unwrap().position
    };
    let places: Vec<_> = (0..200).map(append).collect();
    settle(&store);
    store.close().unwrap();
    hurt.iter().for_each(|n| rot(&world, places[*n], BODY));
    let rule = world.options(SyncFlush).on_damage(OnDamage::Quarantine).rebuild_derived();
    let store = Store::open("/store", rule).unwrap();
    assert_eq!(store.quarantined(), hurt.iter().map(|n| part(places[*n])).collect::<Vec<_>>());
    settle(&store);
    store.close().unwrap();
    (world, places)
}

fn served(store: &Store) -> [usize; 3] {
    let queue = |id| store.queue("orders", id).read_from(QueueOffset(0)).filter(Result::is_ok).count();
    [store.scan(LogOffset(0)).filter(Result::is_ok).count(), queue(0), queue(1)]
}

/// A list costs a look at what is on it, and not at all of the log.
#[test]
fn a_store_with_listed_damage_is_scanned_from_its_end_as_any_other() {
    let (world, places) = listed(&[7]);
    let store = world.sync();
    let report = store.recovery();
    assert_eq!(report.scanned_from.0, places[199].offset.0 / SEGMENT * SEGMENT, "{report}");
    assert_eq!(served(&store), [199, 100, 99]);
}

/// Whatever else is derived stays as it is only if it was derived from the same log: with two parts put right at once the
/// one must not undo what the other says.
#[test]
fn all_parts_that_were_put_back_at_once_are_in_their_queues_again() {
    let (world, places) = listed(&[7, 10, 13]);
    rot(&world, places[7], BODY);
    rot(&world, places[10], BODY);
    let store = world.sync();
    assert_eq!(store.recovery().lifted, [part(places[7]), part(places[10])]);
    assert_eq!(served(&store), [199, 100, 99]);
}

/// While it is listed the queue begins behind it, or with a hole; its files say so. Made anew it begins with what was put
/// back, also where the topic was dropped before: what comes to it then is its first message.
#[test]
fn the_first_message_of_a_queue_is_in_it_again_when_it_was_put_back() {
    for is_dropped in [false, true] {
        let world = World::new();
        let store = world.sync();
        let append = || store.append_and_wait(&to_queue(0, "paid")).unwrap().position;
        if is_dropped {
            append();
            settle(&store);
            store.drop_topic("orders").unwrap();
        }
        let hurt = append();
        append();
        settle(&store);
        store.close().unwrap();
        rot(&world, hurt, BODY);
        let rule = world.options(SyncFlush).on_damage(OnDamage::Quarantine).rebuild_derived();
        let store = Store::open("/store", rule).unwrap();
        assert_eq!(store.quarantined(), [part(hurt)]);
        settle(&store);
        store.close().unwrap();
        rot(&world, hurt, BODY);
        let store = world.sync();
        assert_eq!(store.recovery().lifted, [part(hurt)]);
        let first = QueueOffset(u64::from(is_dropped));
        let read = store.queue("orders", 0).read_from(first).map(|read| read.unwrap().queue_offset.0);
        assert_eq!(read.collect::<Vec<_>>(), [first.0, first.0 + 1], "dropped: {is_dropped}");
    }
}

#[test]
fn a_message_that_was_put_back_is_in_its_queue_again_though_the_list_is_to_be_forgotten() {
    let (world, places) = listed(&[7]);
    rot(&world, places[7], BODY);
    let store = Store::open("/store", world.options(SyncFlush).forget_quarantine()).unwrap();
    assert_eq!((served(&store), store.quarantined().len()), ([200, 100, 100], 0));
}

/// Where somebody else wrote last the scan tells which of the listed parts are sound, those before and behind them stay.
#[test]
fn of_the_listed_parts_of_a_store_that_a_broker_had_those_put_back_are_lifted() {
    let (world, places) = listed(&[7, 10, 13]);
    rot(&world, places[10], BODY);
    world.disk.write_file("/store/abort", "4711").unwrap();
    let store = Store::open("/store", world.options(SyncFlush).on_damage(OnDamage::Quarantine)).unwrap();
    let report = store.recovery();
    assert!(report.foreign_writer, "{report}");
    assert_eq!(report.lifted, [part(places[10])], "{report}");
    assert_eq!(store.quarantined(), [part(places[7]), part(places[13])]);
}

/// The first bad place may be the very one up to which all is durable.
#[test]
fn damage_at_the_durable_mark_is_one_part() {
    let world = World::new();
    let store = world.sync();
    for n in 0..3 {
        store.append_and_wait(&numbered(n)).unwrap();
    }
    store.close().unwrap();
    let store = world.asynchronous();
    let hurt = written(&store, &numbered(3));
    written(&store, &numbered(4));
    let world = World::on(world.disk.kill());
    rot(&world, hurt, BODY);
    assert_eq!(opened(&world, OnDamage::Quarantine).unwrap().quarantined(), [part(hurt)]);
}

/// A body may hold a whole record, made by whoever sent it, that fits the place at which it lies. A queue entry that
/// rotted, too, may point at it. It is believed only if the record is the entry's in everything.
#[test]
fn a_rotten_entry_does_not_make_a_record_of_a_body() {
    let world = World::new();
    let store = world.sync();
    let first = store.append_and_wait(&to_queue(0, "")).unwrap().position;
    let (overhead, hurt) = (u64::from(first.len), first.end());
    let at = hurt.plus(BODY_FROM);

    let forger = World::new();
    let other = forger.sync();
    let filler = "x".repeat(usize::try_from(at.0 - overhead).unwrap());
    assert_eq!(other.append_and_wait(&to_queue(0, &filler)).unwrap().position.end(), at);
    let forged = other.append_and_wait(&to_queue(1, "forged")).unwrap().position;
    let bytes = forger.disk.read_file(LOG).unwrap()[at.0 as usize..forged.end().0 as usize].to_vec();

    let holder = store.append_and_wait(&Message::new("orders", bytes)).unwrap().position;
    assert_eq!(holder.offset, hurt);
    let places =
        [to_queue(1, "paid"), to_queue(0, "paid")].map(|m| store.append_and_wait(&m).unwrap().position);
    settle(&store);
    store.close().unwrap();
    // Its first byte: nothing tells any more how long it is.
    rot(&world, holder, 0);
    let entry = "/store/consumequeue/orders/1/00000000000000000000";
    let points_at = at.0.to_be_bytes();
    world.disk.overwrite(entry, 0, &points_at).unwrap();
    for (len, is_the_entrys) in [(forged.len + 1, false), (forged.len, true)] {
        let world = World::on(world.disk.kill());
        world.disk.overwrite(entry, 8, &len.to_be_bytes()).unwrap();
        let rule = world.options(SyncFlush).on_damage(OnDamage::Quarantine).rebuild_derived();
        let store = Store::open("/store", rule).unwrap();
        // The record behind has lost its entry, the one behind that has its own.
        let to = if is_the_entrys { at } else { places[1].offset };
        assert_eq!(store.quarantined()[0], LogRange { from: hurt, to }, "{}", store.recovery());
    }
}

/// The counts know what lies before the place where a scan begins: without them a number far on in its queue would look
/// like one that leaps, and be given again.
#[test]
fn a_number_heard_from_a_listed_message_stays_taken_when_the_next_process_dies_at_once() {
    let world = World::new();
    let store = world.sync();
    for _ in 0..5 {
        store.append_and_wait(&to_queue(1, "early")).unwrap();
    }
    for _ in 0..200 {
        store.append_and_wait(&sized(700)).unwrap();
    }
    settle(&store);
    store.close().unwrap();
    let store = world.asynchronous();
    let hurt = written(&store, &to_queue(1, "sixth"));
    written(&store, &to_queue(0, "paid"));
    let world = World::on(world.disk.kill());
    rot(&world, hurt, BODY);
    let store = opened(&world, OnDamage::Quarantine).unwrap();
    assert_eq!((store.quarantined(), store.queue("orders", 1).max()), (vec![part(hurt)], QueueOffset(6)));
    let world = World::on(world.disk.kill());
    let store = opened(&world, OnDamage::Refuse).unwrap();
    assert_eq!(store.queue("orders", 1).max(), QueueOffset(6), "{}", store.recovery());
    assert_eq!(store.append(&to_queue(1, "next")).unwrap().queue_offset(), QueueOffset(6));
}

/// The story: a bit of a record's queue id had rotted, and with it the record named another queue, in which its number was
/// thirty messages ahead. The number was taken for that queue's, as long as the damaged bytes could have held so many
/// records: consumers of that queue met thirty messages that never were.
#[test]
fn a_rotten_queue_id_does_not_have_another_queue_leap() {
    let world = World::new();
    let store = world.asynchronous();
    for _ in 0..30 {
        written(&store, &to_queue(0, "paid"));
    }
    let hurt = written(&store, &to_queue(0, &"x".repeat(3_000)));
    written(&store, &to_queue(0, "paid"));
    let world = World::on(world.disk.kill());
    // The last byte of the queue id.
    rot(&world, hurt, 15);
    let store = opened(&world, OnDamage::Quarantine).unwrap();
    assert_eq!(store.quarantined(), [part(hurt)]);
    let next = [0, 1].map(|queue| store.queue("orders", queue).max());
    assert_eq!(next, [QueueOffset(32), QueueOffset(0)], "{}", store.recovery());
}
