//! What a reader of a store sees, as Java and as we tell it, so that the two can be held against each other.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;

use sawlog::message::SysFlags;
use sawlog::{LogOffset, QueueOffset, Record, Store};
use serde_json::Value;

use crate::java::{hex, unhex};

/// One stored message with everything that a consumer can see of it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) topic: String,
    pub(crate) queue: u32,
    /// The queue offset in the record.
    pub(crate) queue_offset: u64,
    pub(crate) offset: u64,
    pub(crate) size: u32,
    pub(crate) flag: i32,
    pub(crate) sys: i32,
    pub(crate) born: i64,
    pub(crate) born_host: SocketAddr,
    pub(crate) stored: i64,
    pub(crate) store_host: SocketAddr,
    pub(crate) reconsume: i32,
    pub(crate) prepared: i64,
    pub(crate) body: Vec<u8>,
    /// By name. Java's decoder knows no order, and the record's own checksum is among them.
    pub(crate) properties: BTreeMap<String, String>,
    /// The checksum of all bytes of the record, as they lie in the log.
    pub(crate) crc: u32,
    /// Of the queue's entry. Only where it was read from a queue by Java, or from our files.
    pub(crate) tags_code: Option<i64>,
}

/// A queue, and its messages in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SeenQueue {
    pub(crate) topic: String,
    pub(crate) queue: u32,
    pub(crate) min: u64,
    pub(crate) max: u64,
    /// Java's pulls that found nothing where something should be. Ours has none: our reader would have failed.
    pub(crate) odd: Vec<String>,
    pub(crate) messages: Vec<Seen>,
}

impl std::fmt::Debug for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = if self.body.len() > 24 { format!("{} bytes", self.body.len()) } else { hex(&self.body) };
        write!(
            f,
            "{}/{}/{} at {} ({} bytes, crc {:08x}) flag {} sys {:#x} born {} {} stored {} {} reconsume {} prepared {} \
             tags {:?} body {body} {:?}",
            self.topic,
            self.queue,
            self.queue_offset,
            self.offset,
            self.size,
            self.crc,
            self.flag,
            self.sys,
            self.born,
            self.born_host,
            self.stored,
            self.store_host,
            self.reconsume,
            self.prepared,
            self.tags_code,
            self.properties
        )
    }
}

impl Seen {
    pub(crate) fn of_json(line: &Value) -> Seen {
        assert!(line.get("broken").is_none(), "Java cannot decode a record: {line}");
        let number = |field: &str| line[field].as_i64().unwrap_or_else(|| panic!("{field} of {line}"));
        let text = |field: &str| line[field].as_str().unwrap().to_owned();
        let properties = line["props"].as_object().unwrap();
        assert_eq!(number("bytes"), number("size"), "{line}");
        Seen {
            topic: text("topic"),
            queue: number("queue") as u32,
            queue_offset: number("queue_offset") as u64,
            offset: number("offset") as u64,
            size: number("size") as u32,
            flag: number("flag") as i32,
            sys: number("sys") as i32,
            born: number("born"),
            born_host: text("born_host").parse().unwrap(),
            stored: number("stored"),
            store_host: text("store_host").parse().unwrap(),
            reconsume: number("reconsume") as i32,
            prepared: number("prepared"),
            body: unhex(&text("body")),
            properties: properties
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned()))
                .collect(),
            crc: number("crc") as u32,
            tags_code: line["tags_code"].as_i64(),
        }
    }

    /// What we see of a record of ours, without a tags code.
    pub(crate) fn of_record(store: &Store, record: &Record) -> Seen {
        let message = &record.message;
        let raw = store.raw(record.position.offset, u64::from(record.position.len)).unwrap();
        assert_eq!(raw.bytes.len(), record.position.len as usize);
        let properties = message.properties.iter().map(|(n, v)| (n.into_owned(), v.into_owned()));
        Seen {
            topic: record.topic().to_string(),
            queue: record.queue_id(),
            queue_offset: record.queue_offset.0,
            offset: record.position.offset.0,
            size: record.position.len,
            flag: message.flag,
            sys: message.sys_flags.0,
            born: message.born.unwrap().0,
            born_host: message.born_host,
            stored: record.stored.0,
            store_host: record.store_host,
            reconsume: message.reconsume_times,
            prepared: message.prepared_offset,
            body: message.body.to_vec(),
            properties: properties.collect(),
            crc: crc32fast::hash(&raw.bytes),
            tags_code: None,
        }
    }

    /// The same without what only a reader of queue entries knows.
    pub(crate) fn untagged(&self) -> Seen {
        Seen { tags_code: None, ..self.clone() }
    }

    pub(crate) fn is_queued(&self) -> bool {
        SysFlags(self.sys).is_queued()
    }

    /// The keys under which it is indexed, each with its topic (spec 4.6).
    pub(crate) fn keys(&self) -> BTreeSet<String> {
        let mut keys = BTreeSet::new();
        keys.extend(self.properties.get("UNIQ_KEY").cloned());
        for key in self.properties.get("KEYS").iter().flat_map(|keys| keys.split(' ')) {
            keys.insert(key.to_owned());
        }
        keys.remove("");
        keys
    }
}

impl SeenQueue {
    pub(crate) fn of_json(line: &Value) -> SeenQueue {
        SeenQueue {
            topic: line["topic"].as_str().unwrap().to_owned(),
            queue: line["queue"].as_u64().unwrap() as u32,
            min: line["min"].as_u64().unwrap(),
            max: line["max"].as_u64().unwrap(),
            odd: line["odd"].as_array().unwrap().iter().map(|odd| odd.as_str().unwrap().to_owned()).collect(),
            messages: Vec::new(),
        }
    }
}

/// Every message of every queue of ours, once dispatch has caught up; queues that are empty are left out.
pub(crate) fn ours(store: &Store) -> Vec<SeenQueue> {
    store.dispatched().reach(store.marks().visible).wait().unwrap();
    let mut queues = Vec::new();
    for topic in store.topics() {
        for id in store.queues_of(&topic) {
            let queue = store.queue(&topic, id);
            let (min, max) = (queue.min().unwrap(), queue.max());
            let messages: Vec<Seen> =
                queue.read_from(min).map(|record| Seen::of_record(store, &record.unwrap())).collect();
            assert_eq!(messages.len() as u64, max.0 - min.0, "{topic}/{id} is not dense");
            queues.push(SeenQueue {
                topic: topic.clone(),
                queue: id,
                min: min.0,
                max: max.0,
                odd: Vec::new(),
                messages,
            });
        }
    }
    queues.retain(|queue| queue.max > queue.min);
    queues.sort_by(|a, b| (&a.topic, a.queue).cmp(&(&b.topic, b.queue)));
    queues
}

/// Every record in the log, those in no queue, too.
pub(crate) fn log(store: &Store) -> Vec<Seen> {
    store.scan(store.marks().first).map(|record| Seen::of_record(store, &record.unwrap())).collect()
}

/// Java's queues and ours, entry by entry; panics with the first that differ.
pub(crate) fn hold_against_java(java: &[SeenQueue], ours: &[SeenQueue], why: &str) {
    let mut java: Vec<&SeenQueue> = java.iter().filter(|queue| queue.max > queue.min).collect();
    java.sort_by(|a, b| (&a.topic, a.queue).cmp(&(&b.topic, b.queue)));
    let names = |queues: &mut dyn Iterator<Item = &SeenQueue>| -> Vec<(String, u32, u64, u64)> {
        queues.map(|q| (q.topic.clone(), q.queue, q.min, q.max)).collect()
    };
    assert_eq!(names(&mut java.iter().copied()), names(&mut ours.iter()), "queues of Java and of us; {why}");
    for (java, ours) in java.iter().zip(ours) {
        let name = format!("{}/{}; {why}", java.topic, java.queue);
        assert!(java.odd.is_empty(), "Java's pulls of {name}: {:?}", java.odd);
        assert_eq!(java.messages.len(), ours.messages.len(), "{name}");
        for (at, (java, ours)) in java.messages.iter().zip(&ours.messages).enumerate() {
            assert_eq!(java.untagged(), ours.untagged(), "message {at} of {name}");
            if ours.tags_code.is_some() {
                assert_eq!(java.tags_code, ours.tags_code, "tags code of message {at} of {name}");
            }
        }
    }
}

/// The tags codes in a closed store's queue files, by topic, queue and offset (spec 3.1), as the bytes lie.
pub(crate) fn tags_codes(root: &Path, queues: &mut [SeenQueue]) {
    for queue in queues {
        let folder = root.join("consumequeue").join(&queue.topic).join(queue.queue.to_string());
        let mut files: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|file| file.is_file());
        files.sort();
        let first: u64 = files[0].file_name().unwrap().to_str().unwrap().parse().unwrap();
        let bytes: Vec<u8> = files.iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
        for message in &mut queue.messages {
            let at = (message.queue_offset * 20 - first) as usize;
            let entry = &bytes[at..at + 20];
            assert_eq!(entry[..8], message.offset.to_be_bytes(), "{message:?}");
            assert_eq!(entry[8..12], message.size.to_be_bytes(), "{message:?}");
            message.tags_code = Some(i64::from_be_bytes(entry[12..].try_into().unwrap()));
        }
    }
}

/// The record at a place of the log and of a queue must be the same.
pub(crate) fn by_place(store: &Store, seen: &Seen) {
    let record = store.record_at(LogOffset(seen.offset)).unwrap();
    assert_eq!(Seen::of_record(store, &record), seen.untagged());
    if seen.is_queued() {
        let queue = store.queue(&seen.topic, seen.queue);
        let record = queue.record_at(QueueOffset(seen.queue_offset)).unwrap();
        assert_eq!(Seen::of_record(store, &record), seen.untagged());
    }
}
