//! The verifier must find what it is there for: each test spoils one thing and names what must be found.

use super::*;

const RUN: u64 = 42;
const BODY_BYTES: usize = 64;

#[derive(Clone, Debug)]
struct Kept {
    topic: String,
    queue: u32,
    queue_offset: u64,
    offset: u64,
    body: Vec<u8>,
}

/// A log of two producers, 40 messages each, and what they were told.
fn log() -> (Vec<Kept>, Vec<Tally>) {
    let mut tallies = vec![Tally::default(); 2];
    let mut next = [0; 16];
    let mut log = Vec::new();
    for sequence in 0..40 {
        for producer in 0..2_u32 {
            let number = Number { run: RUN, producer, sequence };
            let mut body = vec![0; BODY_BYTES];
            number.fill(&mut body);
            let (topic, queue) = queue_of(number.lane());
            let queue_offset = next[number.lane() as usize];
            next[number.lane() as usize] += 1;
            let offset = 200 * log.len() as u64;
            tallies[producer as usize].add(place(sequence, offset, queue_offset));
            log.push(Kept { topic: topic.as_str().to_owned(), queue, queue_offset, offset, body });
        }
    }
    (log, tallies)
}

fn verified(log: &[Kept], tallies: &[Tally], killed: bool) -> Findings {
    let mut verifier = Verifier::new(RUN, BODY_BYTES, tallies, killed);
    for Kept { topic, queue, queue_offset, offset, body } in log {
        verifier.see(Seen { topic, queue: *queue, queue_offset: *queue_offset, offset: *offset, body });
    }
    verifier.finish()
}

fn counts(found: &Findings) -> (u64, u64, u64) {
    assert_eq!(found.is_sound(), found.faults.is_empty());
    (found.lost, found.duplicated, found.wrong)
}

#[test]
fn a_whole_log_is_sound() {
    let (log, tallies) = log();
    let found = verified(&log, &tallies, false);
    assert_eq!((found.records, counts(&found)), (80, (0, 0, 0)));
}

#[test]
fn any_single_lost_message_is_found() {
    let (log, tallies) = log();
    for gone in 0..log.len() {
        let mut log = log.clone();
        log.remove(gone);
        let found = verified(&log, &tallies, true);
        assert_eq!(found.lost, 1, "{gone}");
        assert!(!found.is_sound());
    }
    let found = verified(&[], &tallies, false);
    assert_eq!(counts(&found), (80, 0, 0));
}

#[test]
fn any_single_duplicate_is_found_wherever_it_stands() {
    let (log, tallies) = log();
    for twice in 0..log.len() {
        let mut log = log.clone();
        // In its own queue's next place, as a second append of it would be.
        let mut again = log[twice].clone();
        let same = |kept: &&Kept| kept.topic == again.topic && kept.queue == again.queue;
        again.queue_offset = log.iter().filter(same).count() as u64;
        again.offset = 200 * log.len() as u64;
        log.push(again);
        assert_eq!(counts(&verified(&log, &tallies, false)), (0, 1, 0), "{twice}");
    }
}

#[test]
fn any_single_altered_bit_of_a_body_is_found() {
    let (log, tallies) = log();
    for bit in 0..BODY_BYTES * 8 {
        let mut log = log.clone();
        log[33].body[bit / 8] ^= 1 << (bit % 8);
        let found = verified(&log, &tallies, false);
        assert!(found.wrong >= 1, "bit {bit}: {found:?}");
    }
    let mut shorter = log.clone();
    shorter[33].body.pop();
    assert_eq!(counts(&verified(&shorter, &tallies, false)), (0, 0, 1));
}

#[test]
fn a_message_in_another_queue_is_found() {
    let (mut log, tallies) = log();
    log[79].queue = (log[79].queue + 1) % 4;
    assert!(verified(&log, &tallies, false).wrong >= 1);
    log[79].topic = "elsewhere".into();
    assert!(verified(&log, &tallies, false).wrong >= 1);
}

#[test]
fn a_message_elsewhere_than_its_acknowledgement_said_is_found() {
    let (mut log, tallies) = log();
    log[79].offset += 1;
    assert_eq!(counts(&verified(&log, &tallies, false)), (0, 0, 1));
    log[79].offset -= 1;
    log[79].queue_offset += 1;
    // Once for the hole in the queue, once for the acknowledgement.
    assert_eq!(counts(&verified(&log, &tallies, false)), (0, 0, 2));
}

#[test]
fn only_a_killed_producer_may_leave_one_message_that_nobody_acknowledged() {
    let (log, mut tallies) = log();
    let told = |kept: &Kept| place(39, kept.offset, kept.queue_offset);
    tallies[1] = Tally { count: 39, places: tallies[1].places.wrapping_sub(told(&log[79])) };
    assert_eq!(counts(&verified(&log, &tallies, false)), (0, 0, 1));
    let found = verified(&log, &tallies, true);
    assert_eq!((counts(&found), found.unacknowledged), ((0, 0, 0), 1));
    tallies[0] = Tally { count: 38, places: 0 };
    assert!(!verified(&log, &tallies, true).is_sound());
}

#[test]
fn messages_of_one_producer_out_of_order_are_found() {
    let (mut log, mut tallies) = log();
    let (one, other) = (log[0].body.clone(), log[32].body.clone());
    // Numbers 0 and 16 of producer 0, of the same queue.
    (log[0].body, log[32].body) = (other, one);
    // The record at `2 * n` holds number n, but for those two.
    tallies[0].places = (0..40_u64).zip(log.iter().step_by(2)).fold(0_u64, |sum, (n, kept)| {
        let n = [n, 16, 0][usize::from(n == 0) + 2 * usize::from(n == 16)];
        sum.wrapping_add(place(n, kept.offset, kept.queue_offset))
    });
    // Nothing else is amiss: every message is there, once, where its acknowledgement said.
    let found = verified(&log, &tallies, false);
    assert!(found.faults[0].contains("comes after later ones"), "{found:?}");
}

#[test]
fn a_message_of_another_run_is_found() {
    let (mut log, tallies) = log();
    Number { run: RUN + 1, producer: 0, sequence: 0 }.fill(&mut log[0].body);
    assert_eq!(counts(&verified(&log, &tallies, false)), (1, 0, 1));
}

#[test]
fn a_head_that_names_an_endless_sequence_takes_no_memory() {
    let (mut log, tallies) = log();
    Number { run: RUN, producer: u32::MAX, sequence: u64::MAX }.fill(&mut log[0].body);
    assert!(verified(&log, &tallies, true).wrong >= 1);
    Number { run: RUN, producer: 1, sequence: u64::MAX }.fill(&mut log[0].body);
    assert!(verified(&log, &tallies, true).wrong >= 1);
}

/// The same log, one queue after the other.
fn by_queue(log: &[Kept]) -> Vec<Kept> {
    let mut log = log.to_vec();
    log.sort_by_key(|kept| (kept.topic.clone(), kept.queue, kept.queue_offset));
    log
}

fn through_queues(log: &[Kept], tallies: &[Tally]) -> Findings {
    let mut verifier = Verifier::new(RUN, BODY_BYTES, tallies, false);
    let mut last = None;
    for Kept { topic, queue, queue_offset, offset, body } in log {
        if last.replace((topic, queue)) != Some((topic, queue)) {
            verifier.begin_queue();
        }
        verifier.see(Seen { topic, queue: *queue, queue_offset: *queue_offset, offset: *offset, body });
    }
    verifier.finish()
}

#[test]
fn a_log_read_through_its_queues_is_sound() {
    let (log, tallies) = log();
    let found = through_queues(&by_queue(&log), &tallies);
    assert_eq!((found.records, counts(&found)), (80, (0, 0, 0)));
    assert_eq!(counts(&verified(&log, &tallies, false).with_queues(found)), (0, 0, 0));
}

#[test]
fn a_message_that_only_its_queue_lacks_is_found() {
    let (log, tallies) = log();
    for gone in 0..log.len() {
        let mut queues = by_queue(&log);
        queues.remove(gone);
        let found = verified(&log, &tallies, false).with_queues(through_queues(&queues, &tallies));
        assert_eq!(found.lost, 1, "{gone}");
        assert!(found.faults.iter().any(|fault| fault.starts_with("through queues: ")), "{found:?}");
    }
}

#[test]
fn two_messages_that_changed_places_in_their_queue_are_found() {
    let (log, tallies) = log();
    let mut queues = by_queue(&log);
    let same = |a: &Kept, b: &Kept| (a.topic.as_str(), a.queue) == (b.topic.as_str(), b.queue);
    let at = (1..queues.len()).find(|at| same(&queues[at - 1], &queues[*at])).unwrap();
    queues.swap(at - 1, at);
    assert!(through_queues(&queues, &tallies).wrong >= 1);
}
