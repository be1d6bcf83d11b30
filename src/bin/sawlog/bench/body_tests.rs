use super::*;

#[test]
fn a_body_names_its_number_and_no_two_are_alike() {
    let bodies: Vec<_> = [(1, 0, 0), (1, 0, 1), (1, 1, 0), (2, 0, 0), (1, 0, 1 << 40)]
        .map(|(run, producer, sequence)| Number { run, producer, sequence })
        .map(|number| {
            let mut body = vec![0; 1021];
            number.fill(&mut body);
            assert_eq!(Number::read(&body), Some(number));
            assert!(body[HEAD_BYTES..].chunks(8).all(|word| word.iter().any(|byte| *byte != 0)));
            body
        })
        .into();
    for (n, body) in bodies.iter().enumerate() {
        assert!(!bodies[..n].iter().any(|other| other[HEAD_BYTES..] == body[HEAD_BYTES..]));
    }
    assert_eq!(Number::read(&[0; HEAD_BYTES - 1]), None);
}

#[test]
fn no_two_messages_of_a_run_have_one_key() {
    let mut key = String::from("what it held");
    let keys = [(0, 0), (0, 1), (1, 0), (1, 1 << 40), (u32::MAX, u64::MAX)].map(|(producer, sequence)| {
        Number { run: 7, producer, sequence }.write_key(&mut key);
        assert_eq!(key.len(), 24);
        key.clone()
    });
    assert_eq!(std::collections::BTreeSet::from(keys).len(), 5);
}

#[test]
fn a_producer_visits_every_queue_of_every_topic() {
    let lanes: std::collections::BTreeSet<_> =
        (0..16).map(|sequence| Number { run: 0, producer: 5, sequence }.lane()).map(queue_of).collect();
    assert_eq!(lanes.len(), 16);
    assert!(lanes.iter().all(|(topic, queue)| !topic.is_empty() && *queue < QUEUES));
}
