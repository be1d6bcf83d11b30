//! Open a store, append in the ways there are, read back, close, open again.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use sawlog::flush::SyncFlush;
use sawlog::{Level, Message, Options, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;

    // 1 open: recovers if it must; `recovery()` tells what happened.
    let options = Options::new().flush(SyncFlush).segment_bytes(16 << 20);
    let store = Store::open(folder.path(), options)?;

    // 2 append: the ack resolves when the policy's promise holds.
    let message = Message::new("orders", "paid").queue(0).tag("vip").key("order-42");
    let ack = store.append(&message)?;
    println!("at {} as number {}", ack.position().offset, ack.queue_offset());
    ack.wait()?;
    let batch: Vec<_> = (0..3).map(|n| Message::new("orders", format!("part {n}")).queue(1)).collect();
    store.append_batch(&batch)?.wait()?;
    store.append_with(&message, Level::Written)?.wait()?;
    store.append(&message)?.forget();
    let stored = store.append_and_wait(&message)?;
    println!("message id {}", stored.message_id);

    // 3 read: one record by its place, or all in order.
    let record = store.record_at(stored.position.offset)?;
    assert_eq!(&record.body()[..], b"paid");
    for record in store.scan(store.marks().first) {
        let record = record?;
        println!(
            "{} {}/{} {}",
            record.position.offset,
            record.topic(),
            record.queue_id(),
            record.queue_offset
        );
    }
    store.close()?;

    // 4 open again: the queue goes on where it was.
    let store = Store::open(folder.path(), Options::new().flush(SyncFlush))?;
    println!("{}", store.recovery());
    let ack = store.append(&message)?;
    assert_eq!(ack.queue_offset().0, 4);
    ack.wait()?;
    Ok(store.close()?)
}
