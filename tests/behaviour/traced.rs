//! Feature `tracing`: which spans a subscriber sees, and that one which panics is not heard and hurts nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use sawlog::LogOffset;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::with_default;
use tracing::{Event, Metadata, Subscriber};

use crate::world::*;

/// Writes down what it sees, as `name(` where a span is entered, `)` where it is left, and `!` for an event.
#[derive(Clone, Default)]
struct Eye {
    seen: Arc<Mutex<String>>,
    names: Arc<Mutex<Vec<&'static str>>>,
    next: Arc<AtomicU64>,
    panics: bool,
}

impl Subscriber for Eye {
    fn enabled(&self, of: &Metadata<'_>) -> bool {
        of.target() == "sawlog"
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        assert!(!self.panics, "a subscriber's mistake");
        self.names.lock().push(span.metadata().name());
        Id::from_u64(self.next.fetch_add(1, Ordering::SeqCst) + 1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        assert!(!self.panics, "a subscriber's mistake");
        self.seen.lock().push_str(&format!("{}!", event.metadata().level()));
    }
    fn enter(&self, span: &Id) {
        let name = self.names.lock()[span.into_u64() as usize - 1];
        self.seen.lock().push_str(&format!("{name}("));
    }
    fn exit(&self, _: &Id) {
        self.seen.lock().push(')');
    }
}

impl Eye {
    fn take(&self) -> String {
        std::mem::take(&mut *self.seen.lock())
    }
}

#[test]
fn opening_recovery_rolls_flushes_and_sweeps_are_spans_and_damage_is_an_event() {
    let (world, eye) = (World::new(), Eye::default());
    with_default(eye.clone(), || {
        let store = world.sync();
        assert!(eye.take().starts_with("open(recovery("));
        let places: Vec<_> = (0..3).map(|_| store.append(&sized(30_000)).unwrap().position()).collect();
        assert_eq!(eye.take(), "roll()");
        store.flush().unwrap();
        assert_eq!(eye.take(), "flush()");
        settle(&store);
        eye.take();
        store.remove_before(LogOffset(SEGMENT)).unwrap();
        assert!(eye.take().starts_with("sweep("));
        let bit = (places[2].end().0 - SEGMENT - 20) * 8;
        world.disk.flip("/store/commitlog/00000000000000065536", bit).unwrap();
        store.record_at(places[2].offset).unwrap_err();
        assert_eq!(eye.take(), "ERROR!");
        store.close().unwrap();
    });
}

#[test]
fn a_subscriber_that_panics_hurts_nobody() {
    let (world, eye) = (World::new(), Eye { panics: true, ..Eye::default() });
    with_default(eye, || {
        let store = world.sync();
        for n in 0..5 {
            store.append_and_wait(&numbered(n)).unwrap();
            store.append(&sized(30_000)).unwrap().forget();
        }
        settle(&store);
        store.remove_before(LogOffset(SEGMENT)).unwrap();
        store.close().unwrap();
    });
    assert!(world.sync().recovery().clean_shutdown);
}
