//! A producer, and a consumer that follows its queue: woken by news, it takes what carries the tag it wants, keeps its
//! place in a small file of its own, and goes on there when the store was closed and opened again.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example shows what it does, and its file is its own"
)]

use std::fs;
use std::path::{Path, PathBuf};

use sawlog::{Fetch, Filter, Message, Options, Queue, QueueOffset, Status, Store};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Messages of each of the two lives of the store; every third one is wanted.
const EACH: u64 = 300;

/// The place to go on with: the store keeps queues, where a consumer is its own affair.
struct Place {
    path: PathBuf,
}

impl Place {
    fn load(&self) -> Outcome<QueueOffset> {
        match fs::read_to_string(&self.path) {
            Ok(text) => Ok(QueueOffset(text.trim().parse()?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(QueueOffset(0)),
            Err(error) => Err(error.into()),
        }
    }

    /// Whole or not at all. A consumer that must not take a message twice after a power cut would sync, too.
    fn save(&self, place: QueueOffset) -> Outcome {
        let new = self.path.with_extension("new");
        fs::write(&new, place.0.to_string())?;
        Ok(fs::rename(new, &self.path)?)
    }
}

struct Consumer {
    queue: Queue,
    place: Place,
    taken: u64,
}

impl Consumer {
    fn new(store: &Store, folder: &Path) -> Consumer {
        let place = Place { path: folder.join("consumer.place") };
        Consumer { queue: store.queue("orders", 0), place, taken: 0 }
    }

    /// Everything there is now. The place is saved behind the work: after a crash a message may come once more, and
    /// none is passed over.
    fn drain(&mut self) -> Outcome<QueueOffset> {
        let mut next = self.place.load()?;
        loop {
            let batch = self.queue.fetch(&Fetch::from(next).filter(Filter::tags(["vip"])))?;
            for record in &batch.records {
                assert_eq!(record.queue_offset.0 % 3, 0, "the filter lets only these through");
                self.taken += 1;
            }
            next = batch.next;
            match batch.status {
                // Go on at once: there may be more, behind what was not wanted too.
                Status::Found | Status::NoMatch | Status::Removed => self.place.save(next)?,
                // Retention was faster, or the place is of another store: `next` is where the queue is.
                Status::BeforeStart | Status::BeyondEnd => self.place.save(next)?,
                // Nothing beyond: wait for news.
                _ => return Ok(next),
            }
        }
    }

    /// A thread that sleeps until there is news.
    fn follow(&mut self, until: u64) -> Outcome {
        loop {
            let next = self.drain()?;
            if next.0 >= until {
                return Ok(());
            }
            self.queue.wait(next).wait()?;
        }
    }

    /// The same as a task: any runtime will do, or none.
    async fn follow_async(&mut self, until: u64) -> Outcome {
        loop {
            let next = self.drain()?;
            if next.0 >= until {
                return Ok(());
            }
            self.queue.wait(next).await?;
        }
    }
}

fn produce(store: &Store) -> Outcome {
    for n in 0..EACH {
        let tag = if n % 3 == 0 { "vip" } else { "plain" };
        store.append(&Message::new("orders", format!("order {n}")).tag(tag))?.wait()?;
    }
    Ok(())
}

/// Producer and consumer side by side until the consumer has seen `until` messages of the queue.
fn live(folder: &Path, until: u64, follow: impl Fn(&mut Consumer) -> Outcome) -> Outcome<u64> {
    let store = Store::open(folder.join("store"), Options::new().segment_bytes(16 << 20))?;
    let mut consumer = Consumer::new(&store, folder);
    println!("going on at {} of {until}", consumer.place.load()?);
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| produce(&store));
        // The producer ends by itself, so it is joined whatever became of the consumer.
        let followed = follow(&mut consumer);
        producer.join().map_err(|_| "the producer panicked")??;
        followed
    })?;
    let taken = consumer.taken;
    // A queue reads as long as somebody holds it; the files are given back when the store is closed.
    store.close()?;
    Ok(taken)
}

fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let blocking = live(folder.path(), EACH, |consumer| consumer.follow(EACH))?;
    let as_future =
        live(folder.path(), 2 * EACH, |consumer| pollster::block_on(consumer.follow_async(2 * EACH)))?;
    println!("taken: {blocking} blocking, {as_future} as a future");
    assert_eq!((blocking, as_future), (EACH / 3, EACH / 3), "each wanted message was taken once");
    Ok(())
}
