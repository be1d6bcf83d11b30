//! The JVM and its protocol by themselves: what Java wrote it reads back, and a refusal is told.

use sawlog::clock::Timestamp;
use sawlog::{Message, Options, Store};

use crate::java::{Config, Fault, Java, KeyAsk, TimeAsk, batch_json, is_here, message_json};
use crate::seen;

#[test]
fn java_writes_reads_refuses_and_closes_and_we_see_the_same() {
    if !is_here("java_writes_reads_refuses_and_closes_and_we_see_the_same") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let java = Java::start();
    let (config, host) = (Config::new(), "[2001:db8::1]:10911".parse().unwrap());
    let store = java.store("a");
    let opened = store.open(folder.path(), &config).unwrap();
    assert!(!opened.abort && opened.end == 0, "{opened:?}");
    let single = Message::new("T", "ab").queue(1).tag("x").key("k1").key("k2").born(Timestamp(5)).flag(7);
    let batch = [Message::new("T", "").queue(2).tag("y"), Message::new("T", "c").queue(2).key("k1").flag(-1)];
    let puts = store.put(&[message_json(&single, host), batch_json(&batch, host)]).unwrap();
    assert!(puts.iter().all(|put| put.status == "PUT_OK"), "{puts:?}");
    let places: Vec<u64> = puts.iter().flat_map(|put| put.offsets.clone()).collect();
    let read = store.read().unwrap();
    let key = KeyAsk { topic: "T".into(), key: "k1".into(), most: 10, begin: 0, end: i64::MAX };
    assert_eq!(store.query(&[key]).unwrap(), [vec![places[0], places[2]]]);
    let time = |upper, at| TimeAsk { topic: "T".into(), queue: 2, at, upper };
    assert_eq!(store.time(&[time(false, 0), time(true, i64::MAX / 2)]).unwrap(), [0, 1]);
    let looked = store.look(&places).unwrap();
    assert!(looked.iter().all(Option::is_some));
    store.flush().unwrap();
    assert_eq!(store.log().unwrap().1 as u64, puts.iter().map(|put| put.size).sum::<u64>());
    assert!(store.close().unwrap());
    let ours = Store::open(folder.path(), Options::new().index_slots(200).index_entries(2_000)).unwrap();
    seen::hold_against_java(&read, &seen::ours(&ours), "smoke");
    assert_eq!(seen::log(&ours), looked.into_iter().map(Option::unwrap).collect::<Vec<_>>());
    ours.close().unwrap();
    // The segments are not of the length that it is told now.
    let refused = java.store("b").open(folder.path(), &Config { segment_bytes: 1 << 20, ..config });
    assert!(matches!(refused, Err(Fault::Refused { abort: false, .. })), "{refused:?}");
    java.halt();
    assert!(matches!(java.store("c").log(), Err(Fault::Gone)));
}
