//! A user tests *their* program against our simulated disk: an order book that says "accepted" only for orders that
//! are durable. The power is cut after every single disk operation, and within it; no accepted order may be lost.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::collections::BTreeMap;
use std::sync::Arc;

use sawlog::clock::{HandClock, Timestamp};
use sawlog::disk::sim::{SimDisk, Survivors};
use sawlog::flush::SyncFlush;
use sawlog::{Message, Options, Store};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// The user's program. Orders are numbered; of each customer the sum is kept.
struct OrderBook {
    store: Store,
    sums: BTreeMap<String, u64>,
    orders: u64,
}

impl OrderBook {
    fn open(disk: &SimDisk) -> Outcome<OrderBook> {
        let clock = Arc::new(HandClock::new(Timestamp(1_700_000_000_000)));
        // By hand: no thread of ours disturbs the order of events, so that a failure can be replayed.
        let options = Options::new().disk(disk.clone()).clock(clock).flush(SyncFlush);
        let store = Store::open("/orders", options.segment_bytes(64 * 1024).by_hand())?;
        let mut book = OrderBook { store, sums: BTreeMap::new(), orders: 0 };
        for record in book.store.scan(book.store.marks().first) {
            let record = record?;
            book.count(std::str::from_utf8(record.body())?)?;
        }
        Ok(book)
    }

    fn count(&mut self, order: &str) -> Outcome {
        let (customer, amount) = order.split_once(' ').ok_or("no order")?;
        *self.sums.entry(customer.to_owned()).or_default() += amount.parse::<u64>()?;
        self.orders += 1;
        Ok(())
    }

    /// Takes several orders; when it returns they are accepted, and the customers are told.
    fn take(&mut self, orders: &[String]) -> Outcome {
        let messages: Vec<_> = orders.iter().map(|order| Message::new("orders", order.clone())).collect();
        let ack = self.store.append_batch(&messages)?;
        self.store.flush()?;
        // Leave the flush above out, and put `drop(ack)` here: the check below finds what is lost at once.
        ack.wait()?;
        orders.iter().try_for_each(|order| self.count(order))
    }
}

fn order(n: u64) -> String {
    // Long enough now and then that the log goes over several files.
    let width = usize::try_from(1 + n % 5 * 900).unwrap_or(1);
    format!("customer{} {:0width$}", n % 7, n * n)
}

fn main() -> Outcome {
    // One undisturbed run, recorded. After each step we note how many operations the disk had seen by then.
    let disk = SimDisk::recording();
    let mut book = OrderBook::open(&disk)?;
    let mut accepted = vec![(disk.recorded(), 0)];
    let mut n = 0;
    while n < 120 {
        let orders: Vec<_> = (n..n + 1 + n % 3).map(order).collect();
        n += orders.len() as u64;
        book.take(&orders)?;
        accepted.push((disk.recorded(), n));
        book.store.step();
    }
    drop(book);

    // The same run, cut everywhere: what survives of what no sync covered is different each time.
    let mut replay = disk.replay();
    let mut cuts = 0_u64;
    loop {
        let at = replay.position();
        let told = accepted.iter().rfind(|(operations, _)| *operations <= at).map_or(0, |(_, n)| *n);
        for (seed, model) in (cuts..).zip(Survivors::ALL) {
            for after in [replay.power_cut(seed, model), replay.power_cut_within(seed, model)] {
                let mut book =
                    OrderBook::open(&after).map_err(|e| format!("cut {at} {model:?} {seed}: {e}"))?;
                assert!(book.orders >= told, "cut {at} {model:?} {seed}: {} of {told} orders", book.orders);
                // No order is there twice, none is missing in between, and no sum is wrong.
                let mut expected = BTreeMap::<String, u64>::new();
                for n in 0..book.orders {
                    *expected.entry(format!("customer{}", n % 7)).or_default() += n * n;
                }
                assert_eq!(book.sums, expected, "cut {at} {model:?} {seed}");
                book.take(&[order(book.orders)])?;
                cuts += 1;
            }
        }
        if replay.step().is_none() {
            break;
        }
    }
    println!("{n} orders, power cut {cuts} times at {} operations: nothing accepted was lost", replay.len());
    Ok(())
}
