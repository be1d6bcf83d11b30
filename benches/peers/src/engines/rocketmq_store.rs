//! rocketmq-store: RocketMQ's broker store in Rust, its files the same as ours. Without its micro-batch, which makes every
//! append wait for a timer of a millisecond; otherwise with its defaults, but for what a broker would add.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cheetah_string::CheetahString;
use rocketmq_model::common::message::message_ext::MessageExt;
use rocketmq_model::common::message::message_ext_broker_inner::MessageExtBrokerInner;
use rocketmq_model::common::message::message_single::Message;
use rocketmq_runtime::{RuntimeConfig, RuntimeOwner};
use rocketmq_store::{
    BrokerAdminStore, BrokerReadStore, BrokerStorePort, FlushDiskType, GetMessageStatus, MessageStoreConfig,
    PutMessageStatus, StoreFactory, StoreFactoryConfig, StorePorts, StoreRuntimeConfig, StoreTelemetry,
};

use super::{Engine, Reading, Setup};

const QUEUES_OF_A_TOPIC: usize = 8;
/// As RocketMQ's clients ask.
const MESSAGES_OF_A_PULL: i32 = 32;
/// The files of 10,000 queues at 6 MB each would fill a disk.
const QUEUE_FILE_BYTES: usize = 20 << 10;

struct RocketmqStore {
    runtime: RuntimeOwner,
    store: StorePorts,
    topics: Vec<CheetahString>,
}

pub(super) fn open(setup: &Setup) -> Arc<dyn Engine> {
    let mut config = MessageStoreConfig {
        store_path_root_dir: setup.dir.to_string_lossy().to_string().into(),
        mapped_file_size_commit_log: setup.segment_bytes as usize,
        commit_log_micro_batch_enabled: false,
        message_index_enable: false,
        timer_wheel_enable: false,
        ha_listen_port: 0,
        flush_disk_type: if setup.durable { FlushDiskType::SyncFlush } else { FlushDiskType::AsyncFlush },
        ..MessageStoreConfig::default()
    };
    if setup.queues > 1 {
        config.mapped_file_size_consume_queue = QUEUE_FILE_BYTES;
    }
    let runtime = RuntimeConfig { thread_name: "rocketmq-store".into(), ..RuntimeConfig::default() };
    let runtime = RuntimeOwner::plan(runtime).expect("a plan").build().expect("a runtime");
    let config = StoreFactoryConfig::try_new(
        Arc::new(config),
        Arc::new(StoreRuntimeConfig::default()),
        Arc::default(),
        None,
        false,
        StoreTelemetry::noop(),
    );
    let opened =
        StoreFactory::open(config.expect("options that fit"), runtime.root_context().component("bench"));
    let (mut store, _) = opened.expect("a store").into_parts();
    runtime.block_on(async {
        store.init().await.expect("a store");
        assert!(store.load().await, "a store that loads");
        store.start().await.expect("a store that starts");
    });
    let topics = (0..setup.queues.div_ceil(QUEUES_OF_A_TOPIC)).map(|n| format!("bench-{n:05}").into());
    Arc::new(RocketmqStore { runtime, store, topics: topics.collect() })
}

impl RocketmqStore {
    fn put(&self, topic: usize, queue: usize, body: &'static [u8]) {
        let message = Message::builder()
            .topic(self.topics[topic].clone())
            .body(Bytes::from_static(body))
            .build_unchecked();
        let message_ext_inner = MessageExt { message, ..MessageExt::default() };
        let mut message = MessageExtBrokerInner { message_ext_inner, ..MessageExtBrokerInner::default() };
        message.message_ext_inner.set_queue_id(queue as i32);
        let put = self.runtime.block_on(self.store.put_message_shared(message));
        assert_eq!(put.put_message_status(), PutMessageStatus::PutOk);
    }
}

impl Engine for RocketmqStore {
    fn append(&self, producer: usize, body: &'static [u8]) {
        self.put(0, producer, body);
    }

    fn append_durable(&self, producer: usize, body: &'static [u8]) {
        self.put(0, producer, body);
    }

    fn append_to(&self, queue: usize, body: &'static [u8]) -> bool {
        self.put(queue / QUEUES_OF_A_TOPIC, queue % QUEUES_OF_A_TOPIC, body);
        true
    }

    /// It has nobody to ask: one looks again.
    fn wait_indexed(&self) {
        while self.store.dispatch_behind_bytes() > 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn unindexed_bytes(&self) -> u64 {
        self.store.dispatch_behind_bytes().try_into().unwrap_or(0)
    }

    fn finish(&self) {
        self.store.flush();
        self.wait_indexed();
    }

    /// The stored bytes: it neither decodes nor compares a checksum when it answers a pull.
    fn scan(&self, how: Reading) -> Option<u64> {
        let Reading::Stored = how else { return None };
        let (group, mut at, mut count) = ("bench".into(), 0, 0);
        loop {
            let pull = self.store.get_message(&group, &self.topics[0], 0, at, MESSAGES_OF_A_PULL, None);
            let found = self.runtime.block_on(pull).expect("an answer");
            if found.status() != Some(GetMessageStatus::Found) {
                return Some(count);
            }
            count += found.message_count() as u64;
            at = found.next_begin_offset();
        }
    }
}
