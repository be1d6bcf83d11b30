//! What is appended: messages of forty queues with all that a message can have, in every way of appending.

use std::net::SocketAddr;

use sawlog::clock::Timestamp;
use sawlog::message::{SysFlags, Transaction};
use sawlog::{Level, Message, Result, Store};

use super::case::Case;
use crate::dice::Dice;

/// Ten topics of four queues. Two are long enough for records of version 2; of two the name is not ASCII; one is where
/// messages wait for their time.
pub(crate) fn topics() -> Vec<String> {
    let mut topics =
        ["orders", "p", "TopicTest", "a-b_c%d|e", "été", "订单主题", DELAY_TOPIC].map(str::to_owned).to_vec();
    topics.push(format!("%RETRY%{}", "g".repeat(140)));
    topics.push(format!("%DLQ%{}", "long_group-".repeat(20)));
    topics.push("RMQ_SYS_TRANS_HALF_TOPIC".to_owned());
    topics
}

pub(crate) const DELAY_TOPIC: &str = "SCHEDULE_TOPIC_XXXX";
/// A topic that is dropped at some point of some folders.
pub(crate) const DROPPED: &str = "dropped";
pub(crate) const QUEUES: u64 = 4;
/// Some hash alike; the one with a negative hash counts as a 64-bit number with its sign.
const TAGS: [&str; 7] = ["vip", "Aa", "BB", "paid", "polygenelubricants", "标签", "😀tag"];
const KEYS: [&str; 9] =
    ["AaAa", "BBBB", "AaBB", "BBAa", "k", "order-17", "order-18", "jllgvmc", "a\u{e4}\u{1f600}"];

/// One call of the store.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Append(Message),
    AppendWith(Message, Level),
    AppendAndWait(Message),
    Batch(Vec<Message>),
    Flush,
    Drop,
}

impl Step {
    pub(crate) fn messages(&self) -> &[Message] {
        match self {
            Step::Append(message) | Step::AppendWith(message, _) | Step::AppendAndWait(message) => {
                std::slice::from_ref(message)
            }
            Step::Batch(messages) => messages,
            Step::Flush | Step::Drop => &[],
        }
    }
}

/// The calls of one folder, one after the other, for ever; the same each time.
#[derive(Debug)]
pub(crate) struct Script {
    dice: Dice,
    topics: Vec<String>,
    is_large: bool,
    drops: bool,
    /// Counts messages: most bodies begin with it, and unique ids end with it.
    made: u64,
}

impl Script {
    pub(crate) fn new(case: &Case) -> Script {
        let mut dice = case.dice("script");
        let drops = !case.is_large() && dice.percent(25);
        Script { dice, topics: topics(), is_large: case.is_large(), drops, made: 0 }
    }

    pub(crate) fn step(&mut self) -> Step {
        let roll = self.dice.below(1000);
        match roll {
            0..700 => Step::Append(self.message()),
            700..760 => {
                let level = if self.dice.percent(50) { Level::Flushed } else { Level::Written };
                // A large folder waits for the disk less often.
                if self.is_large && level == Level::Flushed && self.dice.percent(90) {
                    return Step::Append(self.message());
                }
                Step::AppendWith(self.message(), level)
            }
            760..780 if !self.is_large || self.dice.percent(10) => Step::AppendAndWait(self.message()),
            780..800 if !self.is_large || self.dice.percent(10) => Step::Flush,
            800..803 if self.drops => Step::Drop,
            _ => {
                let many = 2 + self.dice.below(6);
                Step::Batch((0..many).map(|_| self.small_message()).collect())
            }
        }
    }

    fn small_message(&mut self) -> Message {
        let body_bytes = self.dice.below(200);
        self.message_of(body_bytes as usize)
    }

    fn message(&mut self) -> Message {
        let most = if self.is_large { 250 } else { 500 };
        let body_bytes = match self.dice.below(400) {
            0 if !self.is_large => 4_000 + self.dice.below(50_000),
            0 => 4_000 + self.dice.below(4_000),
            1..30 => 0,
            _ => self.dice.below(most),
        };
        self.message_of(body_bytes as usize)
    }

    fn message_of(&mut self, body_bytes: usize) -> Message {
        let n = self.made;
        self.made += 1;
        let dice = &mut self.dice;
        let mut body = if body_bytes < 12 { Vec::new() } else { format!("{n:010} ").into_bytes() };
        body.extend(dice.bytes(body_bytes.saturating_sub(body.len())));
        let is_dropped = self.drops && dice.percent(8);
        let topic = if is_dropped {
            DROPPED.to_owned()
        } else {
            self.topics[dice.below(self.topics.len() as u64) as usize].clone()
        };
        let is_delayed = topic == DELAY_TOPIC;
        let mut message = Message::new(topic.as_str(), body)
            .queue(dice.below(QUEUES) as u32)
            .flag(if dice.percent(20) { dice.draw() as i32 } else { 0 })
            .born(Timestamp(1_690_000_000_000 + dice.below(1 << 40) as i64))
            .born_host(born_host(dice))
            .reconsume_times(dice.below(4) as i32);
        if dice.percent(45) {
            message = message.tag(TAGS[dice.below(TAGS.len() as u64) as usize]);
        }
        if dice.percent(40) {
            for _ in 0..=dice.below(3) {
                message = message.key(KEYS[dice.below(KEYS.len() as u64) as usize]);
            }
            message = message.key(&format!("key-{n}"));
        }
        if dice.percent(40) {
            message = message.unique_key(&format!("AC11000117AC18B4AAC2{n:012X}"));
        }
        if is_delayed && dice.percent(80) {
            message = message.property("DELAY", &dice.below(22).to_string());
        }
        if dice.percent(15) {
            message = message.property("地区", &format!("值-{n}-é"));
        }
        if dice.percent(3) {
            message = message.property("long", &"x".repeat(dice.below(3_000) as usize + 1));
        }
        if dice.percent(5) {
            message = message.wait(false);
        }
        let part = match dice.below(24) {
            0 => Transaction::Prepared,
            1 => Transaction::Rollback,
            2 => Transaction::Commit,
            _ => Transaction::None,
        };
        if part == Transaction::Commit {
            message = message.prepared_offset(dice.below(1 << 20) as i64);
        }
        message.sys_flags(
            SysFlags::default().with_transaction(part).with(SysFlags::MULTI_TAGS, n.is_multiple_of(31)),
        )
    }
}

fn born_host(dice: &mut Dice) -> SocketAddr {
    let port = dice.below(65_536) as u16;
    let ip = if dice.percent(25) {
        std::net::Ipv6Addr::from(dice.draw() as u128 | 0x2001_0db8_u128 << 96).into()
    } else {
        std::net::Ipv4Addr::from(0xC633_6400_u32 | dice.below(256) as u32).into()
    };
    SocketAddr::new(ip, port)
}

/// Does what the step says. Whether it was acknowledged at the policy's level, or the one that the call asks for.
/// `by_hand`: nobody but us turns the store's workers, so that waiting is turning them.
pub(crate) fn take(store: &Store, step: &Step, by_hand: bool) -> Result<bool> {
    match step {
        Step::Append(message) => {
            let ack = store.append(message)?;
            Ok(ack.is_done())
        }
        Step::AppendWith(message, level) => {
            let ack = store.append_with(message, *level)?;
            while by_hand && !ack.is_done() {
                store.step();
            }
            ack.wait().map(|()| true)
        }
        Step::AppendAndWait(message) => store.append_and_wait(message).map(|_| true),
        Step::Batch(messages) => {
            let ack = store.append_batch(messages)?;
            Ok(ack.is_done())
        }
        Step::Flush => store.flush().map(|_| true),
        Step::Drop => store.drop_topic(DROPPED).map(|()| true),
    }
}
