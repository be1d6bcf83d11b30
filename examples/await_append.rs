//! Waiting for durability without blocking a thread: by any runtime, by none, with a limit of time.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use sawlog::flush::SyncFlush;
use sawlog::{Ack, Message, Options, Store};

type Outcome = Result<(), Box<dyn std::error::Error>>;

/// One task among many: its message is durable when this returns.
async fn place(store: Store, order: u32) -> sawlog::Result<u64> {
    let message = Message::new("orders", format!("order {order}")).queue(order % 4);
    let ack = store.append(&message)?;
    // Where it stands is known at once; that it is durable, when the future is ready.
    let place = ack.position().offset;
    ack.await?;
    assert!(store.marks().flushed > place);
    Ok(place.0)
}

/// A hundred tasks in one thread, and far fewer syncs: whoever waits while a sync runs is served by the next one.
async fn many(store: &Store) -> Outcome {
    let local = tokio::task::LocalSet::new();
    let tasks: Vec<_> = (0..100).map(|order| local.spawn_local(place(store.clone(), order))).collect();
    local
        .run_until(async {
            for task in tasks {
                task.await??;
            }
            Outcome::Ok(())
        })
        .await?;
    println!("100 durable appends from one thread took {} syncs", store.marks().syncs);
    assert!(store.marks().syncs <= 100);
    Ok(())
}

/// A limit of time is the runtime's business. What runs out of time is not lost: it can be awaited again.
async fn with_a_limit(store: &Store) -> Outcome {
    let mut ack: Ack = store.append(&Message::new("orders", "patient"))?;
    match tokio::time::timeout(Duration::from_nanos(1), &mut ack).await {
        Ok(done) => done?,
        Err(_) => {
            println!("not durable yet; the outcome is unknown, so we go on waiting");
            ack.await?;
        }
    }
    // A dropped future loses nothing but the knowledge.
    drop(store.append(&Message::new("orders", "unattended"))?);
    Ok(())
}

fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let store = Store::open(folder.path(), Options::new().flush(SyncFlush).segment_bytes(16 << 20))?;

    // Under tokio, with all in one thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    runtime.block_on(many(&store))?;
    runtime.block_on(with_a_limit(&store))?;

    // Under no runtime at all.
    let message = Message::new("orders", "alone");
    pollster::block_on(store.append(&message)?)?;

    store.flush()?;
    assert_eq!(store.scan(store.marks().first).collect::<sawlog::Result<Vec<_>>>()?.len(), 103);
    Ok(store.close()?)
}
