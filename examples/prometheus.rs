//! A store and the page that Prometheus scrapes: gauges are set when somebody asks, counters move by themselves.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use sawlog::flush::SyncFlush;
use sawlog::{Message, Options, Store};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// The labels that RocketMQ's dashboards ask for.
pub(crate) const LABELS: [(&str, &str); 3] =
    [("cluster", "DefaultCluster"), ("node_type", "broker"), ("node_id", "broker-a")];

/// Prometheus's recorder, with real histograms: its default is a summary, which cannot be added up over brokers.
pub(crate) fn recorder() -> Outcome<PrometheusHandle> {
    let of_two = |from: f64, steps: i32| (0..steps).map(|n| from * 2_f64.powi(n)).collect::<Vec<_>>();
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("sawlog_sync_seconds".into()), &of_two(1e-5, 20))?
        .set_buckets_for_metric(Matcher::Full("sawlog_batch_records".into()), &of_two(1.0, 16))?
        .set_buckets_for_metric(Matcher::Full("sawlog_batch_bytes".into()), &of_two(256.0, 20))?;
    Ok(builder.install_recorder()?)
}

/// Answers one scrape, whatever path it asks for.
pub(crate) fn answer(server: &TcpListener, store: &Store, page: &PrometheusHandle) -> Outcome {
    let (mut client, _) = server.accept()?;
    let request = BufReader::new(&client);
    // Up to the empty line behind the head.
    for line in request.lines() {
        if line?.is_empty() {
            break;
        }
    }
    store.publish_metrics()?;
    page.run_upkeep();
    let body = page.render();
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nConnection: close\r\n";
    write!(client, "{head}Content-Length: {}\r\n\r\n{body}", body.len())?;
    Ok(())
}

/// What Prometheus does every fifteen seconds.
pub(crate) fn scrape(at: SocketAddr) -> Outcome<String> {
    let mut connection = TcpStream::connect(at)?;
    write!(connection, "GET /metrics HTTP/1.1\r\nHost: {at}\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no HTTP")?;
    if head.starts_with("HTTP/1.1 200 ") { Ok(body.to_owned()) } else { Err(head.into()) }
}

fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let page = recorder()?;
    let store =
        Store::open(folder.path(), Options::new().flush(SyncFlush).segment_bytes(1 << 20).metrics(LABELS))?;
    let server = TcpListener::bind("127.0.0.1:0")?;
    let at = server.local_addr()?;
    println!("curl http://{at}/metrics");

    for n in 0..2000 {
        store.append(&Message::new("orders", format!("{n:01000}")))?.forget();
    }
    store.flush()?;
    let body = std::thread::scope(|scope| {
        scope.spawn(|| answer(&server, &store, &page));
        scrape(at)
    })?;
    let shown = ["sawlog_syncs_total", "sawlog_unflushed_bytes", "sawlog_segments", "rocketmq_storage_"];
    for line in body.lines().filter(|line| shown.iter().any(|name| line.starts_with(name))) {
        println!("{line}");
    }
    assert!(body.contains("rocketmq_storage_flush_behind_bytes"), "{body}");
    Ok(store.close()?)
}
