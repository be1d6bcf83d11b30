//! A message broker in a page: lines over TCP, many clients, and for each topic the promise that it was given.
//!
//! `PUT topic queue body` answers `OK offset`; for a topic whose name begins with `sync-` only when a sync covers the
//! message. `GET group topic queue` answers `MSG offset body` with the first message that the group has not
//! acknowledged, or `NONE` after a while without one. `ACK group topic queue offset` answers `OK` when the
//! acknowledgement is durable: it is a message like any other, found again by its key when the broker restarts.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "an example shows what it does, and how fast"
)]

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use sawlog::flush::AsyncFlush;
use sawlog::{Level, Message, Options, QueueOffset, Store};

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Where acknowledgements are kept: one message each, with `group/topic/queue` as its key.
const POSITIONS: &str = "positions";
/// How long a `GET` waits for a message.
const PATIENCE: Duration = Duration::from_millis(50);

struct Broker {
    store: Store,
}

impl Broker {
    fn open(folder: &Path) -> Outcome<Broker> {
        let options = Options::new().flush(AsyncFlush::default()).segment_bytes(16 << 20);
        Ok(Broker { store: Store::open(folder, options)? })
    }

    fn put(&self, topic: &str, queue: u32, body: &str) -> Outcome<String> {
        let level = if topic.starts_with("sync-") { Level::Flushed } else { Level::Written };
        let ack = self.store.append_with(&Message::new(topic, body.to_owned()).queue(queue), level)?;
        // Whoever else waits here is served by the same sync.
        ack.wait()?;
        Ok(format!("OK {}", ack.queue_offset()))
    }

    /// The offset behind the last one that the group has acknowledged.
    fn position(&self, group: &str, topic: &str, queue: u32) -> Outcome<QueueOffset> {
        let newest = self.store.find(POSITIONS, &format!("{group}/{topic}/{queue}")).next().transpose()?;
        let Some(record) = newest else { return Ok(QueueOffset(0)) };
        Ok(QueueOffset(std::str::from_utf8(record.body())?.parse::<u64>()?).next())
    }

    fn get(&self, group: &str, topic: &str, id: u32) -> Outcome<String> {
        let (queue, position) = (self.store.queue(topic, id), self.position(group, topic, id)?);
        if !queue.wait(position).wait_timeout(PATIENCE)? {
            return Ok("NONE".into());
        }
        let record = queue.read_from(position.max(queue.min()?)).next().ok_or("no message")??;
        Ok(format!("MSG {} {}", record.queue_offset, std::str::from_utf8(record.body())?))
    }

    fn acknowledge(&self, group: &str, topic: &str, queue: u32, offset: u64) -> Outcome<String> {
        let position = Message::new(POSITIONS, offset.to_string()).key(&format!("{group}/{topic}/{queue}"));
        let ack = self.store.append_with(&position, Level::Flushed)?;
        ack.wait()?;
        // The next GET of this client looks the key up.
        self.store.dispatched().reach(ack.end()).wait()?;
        Ok("OK".into())
    }

    fn answer(&self, line: &str) -> Outcome<String> {
        let (command, rest) = line.split_once(' ').ok_or("a command and what it needs")?;
        // A body may hold spaces; nothing else does.
        let words: Vec<_> = rest.splitn(if command == "PUT" { 3 } else { 4 }, ' ').collect();
        match (command, words.as_slice()) {
            ("PUT", [topic, queue, body]) => self.put(topic, queue.parse()?, body),
            ("GET", [group, topic, queue]) => self.get(group, topic, queue.parse()?),
            ("ACK", [group, topic, queue, offset]) => {
                self.acknowledge(group, topic, queue.parse()?, offset.parse()?)
            }
            _ => Err("PUT topic queue body | GET group topic queue | ACK group topic queue offset".into()),
        }
    }

    /// One client, until it hangs up.
    fn serve(&self, client: &TcpStream) -> Outcome {
        let mut out = client;
        client.set_nodelay(true)?;
        for line in BufReader::new(client).lines() {
            // What a client does wrong, or the disk, is told to the client; the broker goes on.
            let answer = self.answer(&line?).unwrap_or_else(|error| format!("ERR {error}"));
            out.write_all(format!("{answer}\n").as_bytes())?;
        }
        Ok(())
    }
}

/// A broker that serves so many clients, one thread each, and closes its store when they have gone.
fn run(folder: &Path, clients: usize) -> Outcome<(SocketAddr, thread::JoinHandle<Outcome>)> {
    let broker = Arc::new(Broker::open(folder)?);
    let server = TcpListener::bind("127.0.0.1:0")?;
    let at = server.local_addr()?;
    let serving = thread::spawn(move || {
        let accepted = server.incoming().take(clients);
        let serve = |client: std::io::Result<TcpStream>| {
            let (client, broker) = (client?, Arc::clone(&broker));
            Ok(thread::spawn(move || broker.serve(&client)))
        };
        for served in accepted.map(serve).collect::<Outcome<Vec<_>>>()? {
            served.join().map_err(|_| "a client's thread panicked")??;
        }
        Ok(broker.store.clone().close()?)
    });
    Ok((at, serving))
}

struct Client {
    lines: BufReader<TcpStream>,
}

impl Client {
    fn connect(at: SocketAddr) -> Outcome<Client> {
        let connection = TcpStream::connect(at)?;
        connection.set_nodelay(true)?;
        Ok(Client { lines: BufReader::new(connection) })
    }

    fn ask(&mut self, line: &str) -> Outcome<String> {
        self.lines.get_mut().write_all(format!("{line}\n").as_bytes())?;
        let mut answer = String::new();
        self.lines.read_line(&mut answer)?;
        Ok(answer.trim_end().to_owned())
    }
}

const PRODUCERS: usize = 8;
const EACH: usize = 100;

fn produce(at: SocketAddr, topic: &str) -> Outcome<Duration> {
    let began = Instant::now();
    thread::scope(|scope| {
        let one = |queue: usize| {
            let mut client = Client::connect(at)?;
            for n in 0..EACH {
                let answer = client.ask(&format!("PUT {topic} {queue} message {n} of producer {queue}"))?;
                assert_eq!(answer, format!("OK {n}"), "every queue has one producer here");
            }
            Ok(())
        };
        let producers: Vec<_> = (0..PRODUCERS).map(|queue| scope.spawn(move || one(queue))).collect();
        producers.into_iter().try_for_each(|producer| producer.join().map_err(|_| "a producer panicked")?)
    })
    .map(|()| began.elapsed())
}

/// Takes what a queue still has for the group.
fn consume(client: &mut Client, topic: &str, queue: usize) -> Outcome<usize> {
    for taken in 0.. {
        let answer = client.ask(&format!("GET billing {topic} {queue}"))?;
        let Some(message) = answer.strip_prefix("MSG ") else {
            assert_eq!(answer, "NONE");
            return Ok(taken);
        };
        let (offset, _) = message.split_once(' ').ok_or("no offset")?;
        assert_eq!(client.ask(&format!("ACK billing {topic} {queue} {offset}"))?, "OK");
    }
    Ok(0)
}

fn main() -> Outcome {
    let folder = tempfile::tempdir()?;
    let (at, serving) = run(folder.path(), 2 * PRODUCERS + 1)?;
    for topic in ["sync-orders", "logs"] {
        println!("{topic}: {} messages in {:?}", PRODUCERS * EACH, produce(at, topic)?);
    }
    let mut consumer = Client::connect(at)?;
    assert_eq!(consume(&mut consumer, "sync-orders", 3)?, EACH);
    let wrong = consumer.ask("PUT topic x body")?;
    assert!(wrong.starts_with("ERR "), "{wrong}");
    drop(consumer);
    serving.join().map_err(|_| "the broker panicked")??;

    // What was acknowledged stays so.
    let (at, serving) = run(folder.path(), 1)?;
    let mut consumer = Client::connect(at)?;
    assert_eq!(consume(&mut consumer, "sync-orders", 3)?, 0, "all of it was acknowledged before the restart");
    assert_eq!(consume(&mut consumer, "sync-orders", 4)?, EACH);
    drop(consumer);
    println!("after a restart every group goes on where it was");
    serving.join().map_err(|_| "the broker panicked")?
}
