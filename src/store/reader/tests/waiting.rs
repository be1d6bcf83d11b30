//! Waiting for news.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::*;
use crate::store::reader::News;

/// Never reached when all is well.
const PATIENCE: Duration = Duration::from_secs(20);

/// Counts how often it was woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

fn poll(news: &mut News, count: &Arc<Count>) -> Poll<crate::Result<()>> {
    let waker = Waker::from(Arc::clone(count));
    Pin::new(news).poll(&mut Context::from_waker(&waker))
}

#[test]
fn what_is_there_already_is_news_at_once() {
    let world = World::new();
    world.fill(3);
    let queue = world.queue();
    queue.wait(QueueOffset(2)).wait().unwrap();
    assert!(queue.wait(QueueOffset(2)).wait_timeout(Duration::ZERO).unwrap());
    assert!(!queue.wait(QueueOffset(3)).wait_timeout(Duration::ZERO).unwrap());
    assert!(!queue.wait(QueueOffset(3)).is_here());
    pollster::block_on(queue.wait(QueueOffset(0))).unwrap();
}

#[test]
fn a_future_is_woken_by_its_own_queue_alone() {
    let world = World::new();
    world.fill(1);
    let count = Arc::new(Count::default());
    let mut news = world.queue().wait(QueueOffset(1));
    assert!(poll(&mut news, &count).is_pending());
    world.append(&Message::new("t", "x").queue(1));
    world.append(&Message::new("other", "x"));
    world.derive();
    assert_eq!(count.0.load(SeqCst), 0, "other queues' messages wake nobody here");
    world.fill(1);
    assert_eq!(count.0.load(SeqCst), 1);
    assert!(matches!(poll(&mut news, &count), Poll::Ready(Ok(()))));
}

#[test]
fn a_future_that_wants_a_later_message_waits_on() {
    let world = World::new();
    let count = Arc::new(Count::default());
    let mut news = pin!(world.queue().wait(QueueOffset(2)));
    for _ in 0..2 {
        assert!(poll(&mut news, &count).is_pending());
        world.fill(1);
    }
    assert!(poll(&mut news, &count).is_pending());
    world.fill(1);
    assert!(matches!(poll(&mut news, &count), Poll::Ready(Ok(()))));
}

#[test]
fn a_queue_that_does_not_exist_can_be_waited_for() {
    let world = World::new();
    let queue = world.sources.queue("t", 0);
    let waiting = std::thread::spawn(move || queue.wait(QueueOffset(0)).wait_timeout(PATIENCE));
    world.fill(1);
    assert!(waiting.join().unwrap().unwrap());
}

#[test]
fn no_wake_up_is_lost_between_many_waiters_and_a_busy_dispatcher() {
    let world = World::new();
    let waiting: Vec<_> = (0..8_u64)
        .map(|n| {
            let queue = world.queue();
            std::thread::spawn(move || {
                for at in 0..200 {
                    let news = queue.wait(QueueOffset(at));
                    match n % 3 {
                        0 => news.wait().unwrap(),
                        1 => assert!(news.wait_timeout(PATIENCE).unwrap()),
                        _ => pollster::block_on(news).unwrap(),
                    }
                    queue.record_at(QueueOffset(at)).unwrap();
                }
            })
        })
        .collect();
    for _ in 0..200 {
        world.fill(1);
    }
    waiting.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn the_end_of_the_store_ends_all_waiting() {
    let world = World::new();
    let count = Arc::new(Count::default());
    let mut before = world.queue().wait(QueueOffset(0));
    assert!(poll(&mut before, &count).is_pending());
    let queue = world.queue();
    let blocked = std::thread::spawn(move || queue.wait(QueueOffset(0)).wait());
    world.sources.log.fail_and_tell(Error::Closed);
    world.sources.dispatcher.fail(&Error::Closed).into_iter().for_each(Waker::wake);
    assert_eq!(count.0.load(SeqCst), 1);
    assert!(matches!(poll(&mut before, &count), Poll::Ready(Err(Error::Closed))));
    assert!(matches!(blocked.join().unwrap(), Err(Error::Closed)));
    // Whoever comes later is told, too, also for a queue that nobody waited for before.
    for id in [0, 1] {
        let news = world.sources.queue("t", id).wait(QueueOffset(0));
        assert!(matches!(news.wait(), Err(Error::Closed)));
        assert!(matches!(news.wait_timeout(PATIENCE), Err(Error::Closed)));
        assert!(matches!(pollster::block_on(news), Err(Error::Closed)));
    }
}

#[test]
fn a_message_that_came_before_the_end_is_news_all_the_same() {
    let world = World::new();
    world.fill(1);
    world.store.flush().unwrap();
    world.sources.log.fail_and_tell(Error::Closed);
    world.sources.dispatcher.fail(&Error::Closed).into_iter().for_each(Waker::wake);
    world.queue().wait(QueueOffset(0)).wait().unwrap();
}

#[test]
fn a_waiter_that_comes_between_putting_and_showing_is_woken() {
    // Readers see an entry only when the dispatched mark has passed its record. A mark for news that is made in
    // between stands behind the entry already, and telling does not move it any more.
    let world = World::new();
    let record = world.append(&Message::new("t", "x"));
    assert_eq!(world.queues().put("t", 0, QueueOffset(0), entry(&record)), Put::Appended);
    let queue = world.queue();
    assert_eq!(queue.max(), QueueOffset(0), "it is put, and not shown");
    let (count, mut news) = (Arc::new(Count::default()), queue.wait(QueueOffset(0)));
    assert!(poll(&mut news, &count).is_pending());
    let blocked = std::thread::spawn(move || queue.wait(QueueOffset(0)).wait_timeout(PATIENCE));
    world.show();
    world.queues().tell().into_iter().for_each(Waker::wake);
    assert_eq!(count.0.load(SeqCst), 1);
    assert!(matches!(poll(&mut news, &count), Poll::Ready(Ok(()))));
    assert!(blocked.join().unwrap().unwrap());
}
