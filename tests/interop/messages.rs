//! Messages of every kind that both sides can store, by seed, and what must be stored of each.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use sawlog::Message;
use sawlog::clock::Timestamp;
use sawlog::message::{SysFlags, Transaction};

use crate::dice::Dice;
use crate::java::{batch_json, message_json};
use crate::seen::Seen;

/// Messages that go into the log together: one, or a batch.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) messages: Vec<Message>,
    pub(crate) store_host: SocketAddr,
}

/// What a generator's messages are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taste {
    /// Over all topics together, about.
    pub(crate) queues: u32,
    /// Most bodies are below this.
    pub(crate) body_bytes: u64,
    /// A few bodies measure up to this.
    pub(crate) longest_bytes: u64,
}

/// A source of messages: the same seed, the same messages.
pub(crate) struct Generator {
    dice: Dice,
    taste: Taste,
    made: u64,
}

const TAGS: [&str; 6] = ["vip", "Aa", "BB", "paid", "标签", "order-created"];

impl Generator {
    pub(crate) fn new(seed: u64, taste: Taste) -> Generator {
        Generator { dice: Dice::new(seed), taste, made: 0 }
    }

    /// One put: mostly a single message, else a batch.
    pub(crate) fn next(&mut self) -> Sent {
        let store_host = self.host(10_911);
        let first = self.message();
        // Batches of what waits for its time, or is part of a transaction, are refused by RocketMQ.
        let alone = first.topic == "SCHEDULE_TOPIC_XXXX"
            || first.sys_flags.transaction() != Transaction::None
            || !self.dice.percent(12);
        if alone {
            return Sent { messages: vec![first], store_host };
        }
        // A batch has one topic, queue, birth and set of flags, and only singles have these numbers.
        let mut messages = vec![first.clone().reconsume_times(0).prepared_offset(0)];
        for _ in 0..self.dice.below(8) {
            let part = self.message();
            let mut one = messages[0].clone();
            (one.body, one.properties, one.flag) = (part.body, part.properties, part.flag);
            messages.push(one);
        }
        Sent { messages, store_host }
    }

    fn message(&mut self) -> Message {
        self.made += 1;
        let (topic, queue) = self.queue();
        let mut message = Message::new(topic.as_str(), self.body())
            .queue(queue)
            .born(Timestamp(1_700_000_000_000 + self.dice.below(1 << 40) as i64))
            .born_host(self.host(1024));
        if topic == "SCHEDULE_TOPIC_XXXX" {
            let level = (queue + 1).to_string();
            message =
                message.property("DELAY", &level).property("REAL_TOPIC", "orders").property("REAL_QID", "3");
        }
        if self.dice.percent(60) {
            message = message.tag(TAGS[self.dice.below(6) as usize]);
        }
        for _ in 0..[0, 0, 1, 1, 2, 3][self.dice.below(6) as usize] {
            message = message.key(&format!("k{}", self.dice.below(self.made / 8 + 20)));
        }
        if self.dice.percent(50) {
            message = message.unique_key(&format!("{:016X}{:08X}", self.dice.draw(), self.made));
        }
        for n in 0..self.dice.below(3) {
            message = message.property(&format!("p{n}"), &format!("wert-{}-é", self.dice.below(1000)));
        }
        if self.dice.percent(30) {
            message = message.flag(self.dice.draw() as i32);
        }
        if self.dice.percent(10) {
            message = message.reconsume_times(self.dice.below(17) as i32);
        }
        self.in_a_transaction(message)
    }

    fn in_a_transaction(&mut self, message: Message) -> Message {
        let part = match self.dice.below(20) {
            0 => Transaction::Prepared,
            1 => Transaction::Commit,
            2 => Transaction::Rollback,
            _ => return message,
        };
        let flags =
            message.sys_flags.with_transaction(part).with(SysFlags::MULTI_TAGS, self.dice.percent(50));
        let message = message.sys_flags(flags).property("TRAN_MSG", "true").property("PGROUP", "producers");
        let offset = self.dice.below(1 << 20) as i64;
        if part == Transaction::Prepared { message } else { message.prepared_offset(offset) }
    }

    fn queue(&mut self) -> (String, u32) {
        let queue = self.dice.below(u64::from(self.taste.queues)) as u32;
        match queue % 8 {
            0 => ("SCHEDULE_TOPIC_XXXX".to_owned(), queue / 8 % 18),
            // Longer than 127 bytes: records of version 2.
            1 => (format!("%RETRY%{}", "a-consumer-group-with-a-very-long-name".repeat(4)), queue / 8),
            2 => ("订单主题".to_owned(), queue / 8),
            3 | 4 => ("a-topic-with-a-rather-long-name".to_owned(), queue),
            _ => ("orders".to_owned(), queue),
        }
    }

    fn body(&mut self) -> Vec<u8> {
        let len = match self.dice.below(40) {
            0 | 1 => 0,
            2 => self.dice.below(self.taste.longest_bytes) + 1,
            _ => self.dice.below(self.taste.body_bytes) + 1,
        };
        self.dice.bytes(len as usize)
    }

    fn host(&mut self, port: u16) -> SocketAddr {
        let n = self.dice.below(200);
        match self.dice.percent(25) {
            true => format!("[2001:db8::{n:x}:1]:{port}").parse().unwrap(),
            false => format!("10.1.2.{n}:{port}").parse().unwrap(),
        }
    }
}

impl Sent {
    pub(crate) fn json(&self) -> serde_json::Value {
        match self.messages.as_slice() {
            [single] => message_json(single, self.store_host),
            batch => batch_json(batch, self.store_host),
        }
    }
}

/// Whether a stored record is this message as it was sent, but for what appending gives to it.
pub(crate) fn is_stored(sent: &Message, store_host: SocketAddr, seen: &Seen) -> Result<(), String> {
    let flags = sent
        .sys_flags
        .with(SysFlags::BORN_HOST_V6, sent.born_host.is_ipv6())
        .with(SysFlags::STORE_HOST_V6, store_host.is_ipv6());
    let mut stored = seen.properties.clone();
    stored.remove("__CRC32#");
    let properties: BTreeMap<String, String> =
        sent.properties.iter().map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    let same = seen.topic == *sent.topic
        && seen.queue == sent.queue_id
        && seen.body == sent.body
        && stored == properties
        && (seen.flag, seen.sys) == (sent.flag, flags.0)
        && (seen.born, seen.born_host) == (sent.born.unwrap().0, sent.born_host)
        && seen.store_host == store_host
        && (seen.reconsume, seen.prepared) == (sent.reconsume_times, sent.prepared_offset);
    if same { Ok(()) } else { Err(format!("sent {sent:?} from {store_host}, stored {seen:?}")) }
}
