//! Feature `metrics`: names, labels and values as Prometheus gets them, also over TCP.

use std::net::TcpListener;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusBuilder;
use sawlog::flush::SyncFlush;
use sawlog::{LogOffset, Options, Store};

use crate::prometheus;
use crate::world::*;

/// The value of a metric with these labels, if it is on the page.
fn value(page: &str, name: &str) -> Option<f64> {
    let line =
        page.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])))?;
    line.rsplit(' ').next()?.parse().ok()
}

#[test]
fn gauges_are_set_when_asked_and_counters_move_at_flushes() {
    let world = World::new();
    world.disk.capacity_bytes(8 << 20);
    let recorder = PrometheusBuilder::new().build_recorder();
    let page = recorder.handle();
    ::metrics::with_local_recorder(&recorder, || {
        let store = Store::open("/store", world.options(SyncFlush).metrics([("node_id", "a")])).unwrap();
        for _ in 0..3 {
            store.append(&sized(30_000)).unwrap().forget();
        }
        store.publish_metrics().unwrap();
        let behind = store.stats().unflushed_bytes() as f64;
        let text = page.render();
        assert!(behind > 90_000.0);
        assert_eq!(value(&text, "sawlog_unflushed_bytes"), Some(behind));
        assert_eq!(value(&text, "rocketmq_storage_flush_behind_bytes"), Some(behind));
        assert!(text.contains("sawlog_unflushed_bytes{node_id=\"a\"}"), "{text}");
        assert!(text.contains("# TYPE rocketmq_storage_dispatch_behind_bytes gauge"), "{text}");
        assert_eq!(value(&text, "sawlog_flushed_records_total"), None, "nothing was flushed");
        assert_eq!(value(&text, "sawlog_oldest_record_seconds"), None, "nothing is visible yet");

        store.flush().unwrap();
        settle(&store);
        world.clock.turn(Duration::from_secs(90));
        store.remove_before(LogOffset(SEGMENT)).unwrap();
        settle(&store);
        store.publish_metrics().unwrap();
        let text = page.render();
        let expected = [
            ("sawlog_opened_total", 1.0),
            ("sawlog_flushed_records_total", 3.0),
            ("sawlog_flushed_bytes_total", store.marks().flushed.0 as f64),
            ("sawlog_syncs_total", store.marks().syncs as f64),
            ("sawlog_sync_seconds_count", store.marks().syncs as f64),
            ("sawlog_rolls_total", 1.0),
            ("sawlog_swept_segments_total", 1.0),
            ("sawlog_unflushed_bytes", 0.0),
            ("sawlog_undispatched_bytes", 0.0),
            ("sawlog_segments", 1.0),
            ("sawlog_writable", 1.0),
            ("sawlog_oldest_record_seconds", 90.0),
            ("rocketmq_storage_message_reserve_time", 90_000.0),
        ];
        for (name, wanted) in expected {
            assert_eq!(value(&text, name), Some(wanted), "{name} in\n{text}");
        }
        assert_eq!(value(&text, "rocketmq_storage_size"), value(&text, "sawlog_disk_used_bytes"));
        assert!(value(&text, "rocketmq_storage_size").is_some_and(|used| used > 0.0));
        store.close().unwrap();
    });
}

#[test]
fn a_scrape_over_tcp_gets_the_page() {
    let folder = tempfile::tempdir().unwrap();
    let page = prometheus::recorder().unwrap();
    let options = Options::new().flush(SyncFlush).segment_bytes(SEGMENT).metrics(prometheus::LABELS);
    let store = Store::open(folder.path(), options).unwrap();
    store.append_and_wait(&numbered(0)).unwrap();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap();
    let scraped = std::thread::scope(|scope| {
        scope.spawn(|| prometheus::answer(&server, &store, &page).unwrap());
        prometheus::scrape(at).unwrap()
    });
    assert_eq!(value(&scraped, "sawlog_unflushed_bytes"), Some(0.0), "{scraped}");
    assert!(value(&scraped, "rocketmq_storage_size").is_some_and(|used| used > 0.0));
    let labelled = "rocketmq_storage_flush_behind_bytes{cluster=\"DefaultCluster\",node_type=\"broker\"";
    assert!(scraped.contains(labelled), "{scraped}");
    // Counters move in the listener's thread, and all of them have when the store is closed.
    store.close().unwrap();
    let text = page.render();
    assert_eq!(value(&text, "sawlog_flushed_records_total"), Some(1.0), "{text}");
    assert!(text.contains("sawlog_sync_seconds_bucket{"), "{text}");
}
