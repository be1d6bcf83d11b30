use super::*;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc;

#[test]
fn a_ring_wakes_a_waiting_worker_every_time() {
    let (bell, heard) = bell();
    let wanted = Arc::new(AtomicU64::new(0));
    let (done, seen) = mpsc::channel();
    let look = Arc::clone(&wanted);
    let mut last = 0;
    let step = Box::new(move || {
        let now = look.load(Ordering::SeqCst);
        if now == last {
            return Next::Wait;
        }
        last = now;
        let _ = done.send(now);
        Next::Again
    });
    let worker = Worker::spawn("test", Arc::clone(&bell), heard, step, |_| {}).unwrap();
    for n in 1..=1000 {
        wanted.store(n, Ordering::SeqCst);
        bell.ring_if_idle();
        assert_eq!(seen.recv(), Ok(n));
    }
    worker.stop();
}

#[test]
fn a_panic_in_a_step_is_an_error_that_names_the_worker() {
    let (bell, heard) = bell();
    let (failed, seen) = mpsc::channel();
    let step = Box::new(|| panic!("it broke"));
    let worker = Worker::spawn("test", bell, heard, step, move |e| failed.send(e).unwrap()).unwrap();
    let error = seen.recv().unwrap();
    assert!(matches!(error, Error::Panicked { worker: "test", message } if message == "it broke"));
    worker.stop();
}
