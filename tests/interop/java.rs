//! The JVM that runs RocketMQ's own store: built once by Maven, spoken to in lines of JSON.
//!
//! One JVM serves many folders, each under a name of its own; calls for several folders may be made from several
//! threads and are done side by side. Nothing here ends a store in order but [`JavaStore::close`]: a [`Java`] that is
//! dropped is killed with `kill -9`, and its folders are left as a killed broker leaves them.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock};

use serde_json::{Value, json};

use crate::seen::{Seen, SeenQueue};

/// What RocketMQ's own start script gives to the JVM, as far as the store needs it, and what keeps many stores small.
const FLAGS: [&str; 6] = [
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
    "-Xmx1g",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
];

type Waiting = Arc<Mutex<Option<HashMap<u64, Sender<Value>>>>>;

/// A running JVM.
pub(crate) struct Java {
    child: Mutex<Child>,
    commands: Mutex<Option<ChildStdin>>,
    waiting: Waiting,
    next: AtomicU64,
    scratch: tempfile::TempDir,
}

/// Why a call got no answer to its question.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// The JVM is gone: killed, or ended by itself.
    Gone,
    /// RocketMQ's store threw or refused. `abort`: its mark of a disorderly end stood there when it was opened.
    Refused { error: String, abort: bool },
}

/// How Java opens a folder. The shape is not written in the files, so it must be ours.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) segment_bytes: u64,
    pub(crate) queue_entries: u32,
    pub(crate) index_slots: u32,
    pub(crate) index_entries: u32,
    pub(crate) sync: bool,
    /// Record checksums written and verified (`enabledAppendPropCRC`, `forceVerifyPropCRC`).
    pub(crate) record_crc: bool,
    /// Further settings by their names in broker.conf.
    pub(crate) more: Vec<(String, Value)>,
}

/// What Java said when it had opened a folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Opened {
    /// The mark of a disorderly end was there: the abnormal recovery ran, else the normal one.
    pub(crate) abort: bool,
    /// The log's first offset; -1 if there is no segment.
    pub(crate) first: i64,
    /// The log's end.
    pub(crate) end: i64,
}

/// What Java answered to one put.
#[derive(Clone, Debug)]
pub(crate) struct Put {
    /// `PutMessageStatus`: `PUT_OK` and others.
    pub(crate) status: String,
    /// The places of its records in the log: one, or those of the batch.
    pub(crate) offsets: Vec<u64>,
    /// What all records together measure in the log.
    pub(crate) size: u64,
    /// The queue offset of the first record.
    pub(crate) queue_offset: u64,
    pub(crate) stored: i64,
}

/// One question for keys (`queryMessage`).
#[derive(Clone, Debug)]
pub(crate) struct KeyAsk {
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) most: u32,
    pub(crate) begin: i64,
    pub(crate) end: i64,
}

/// One question for an offset by time (`getOffsetInQueueByTime`).
#[derive(Clone, Debug)]
pub(crate) struct TimeAsk {
    pub(crate) topic: String,
    pub(crate) queue: u32,
    pub(crate) at: i64,
    pub(crate) upper: bool,
}

/// One folder in the JVM, by its name there.
#[derive(Clone, Copy)]
pub(crate) struct JavaStore<'j> {
    java: &'j Java,
    name: &'j str,
}

impl Config {
    pub(crate) fn new() -> Config {
        Config {
            segment_bytes: 128 << 10,
            queue_entries: 60,
            index_slots: 200,
            index_entries: 2_000,
            sync: false,
            record_crc: false,
            more: Vec::new(),
        }
    }

    fn json(&self) -> Value {
        let mut all = json!({
            "mappedFileSizeCommitLog": self.segment_bytes,
            "mappedFileSizeConsumeQueue": self.queue_entries * 20,
            "maxHashSlotNum": self.index_slots,
            "maxIndexNum": self.index_entries,
            "flushDiskType": if self.sync { "SYNC_FLUSH" } else { "ASYNC_FLUSH" },
            "enabledAppendPropCRC": self.record_crc,
            "forceVerifyPropCRC": self.record_crc,
            // A longer record would be "stored" outside of every segment (spec H5).
            "maxMessageSize": self.segment_bytes / 2,
        });
        for (name, value) in &self.more {
            all[name] = value.clone();
        }
        all
    }
}

/// Classes and class path, built by Maven when the sources have changed. `Err` says why it cannot be.
fn built() -> Result<&'static str, String> {
    static BUILT: OnceLock<Result<String, String>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref().map_err(Clone::clone)
}

fn build() -> Result<String, String> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat/java");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("java");
    let sources = sources(&project);
    let stamp = out.join("built-from");
    let path_file = out.join("classpath");
    let class_path = |path: String| format!("{}:{}", out.join("classes").display(), path.trim());
    if std::fs::read_to_string(&stamp).is_ok_and(|built| built == sources)
        && let Ok(path) = std::fs::read_to_string(&path_file)
        && path.split(':').all(|jar| Path::new(jar.trim()).exists())
    {
        return Ok(class_path(path));
    }
    let asked = Command::new("mvn")
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(project.join("pom.xml"))
        .arg(format!("-Dbuilt={}", out.display()))
        .arg(format!("-Dmdep.outputFile={}", path_file.display()))
        .args(["compile", "dependency:build-classpath"])
        .output();
    let said = match asked {
        Ok(said) => said,
        Err(_) => return Err("Maven is not on this machine".to_owned()),
    };
    if !said.status.success() {
        let words = String::from_utf8_lossy(&said.stdout).into_owned();
        assert!(!words.contains("COMPILATION ERROR"), "{words}");
        return Err(format!("Maven cannot build RocketMQ's store here: {words}"));
    }
    std::fs::write(&stamp, sources).unwrap();
    Ok(class_path(std::fs::read_to_string(&path_file).unwrap()))
}

/// All that the build depends on, as one text.
fn sources(project: &Path) -> String {
    let mut all = std::fs::read_to_string(project.join("pom.xml")).unwrap();
    for folder in ["src/main/java", "src/main/resources"] {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(project.join(folder)).unwrap().map(|e| e.unwrap().path()).collect();
        files.sort();
        for file in files {
            all.push_str(&std::fs::read_to_string(file).unwrap());
        }
    }
    all
}

/// Says on the terminal what the harness would keep for itself.
pub(crate) fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

/// Whether Java tests can run here; if not, says that this one is skipped.
///
/// # Panics
/// Where `CI=true`: nothing may be skipped there.
pub(crate) fn is_here(test: &str) -> bool {
    match built() {
        Ok(_) => true,
        Err(why) => {
            assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
            say(&format!("{test} was skipped: {why}"));
            false
        }
    }
}

impl Java {
    /// Starts a JVM; [`is_here`] has been asked.
    pub(crate) fn start() -> Java {
        let class_path = built().unwrap();
        let scratch = tempfile::tempdir().unwrap();
        let mut command = Command::new("java");
        // Topics are names of folders, and only in such a locale can Java write any name.
        command.env("LC_ALL", "C.UTF-8");
        command.args(FLAGS).args(["-cp", class_path]);
        // For a look at what RocketMQ itself says: SAWLOG_JAVA_LOG=java.log.
        if let Ok(log) = std::env::var("SAWLOG_JAVA_LOG") {
            command.arg(format!("-Ddriver.log={log}")).arg("-Ddriver.level=INFO");
        }
        let mut child = command
            .arg("Driver")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("no JVM beside Maven");
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        let (answers, told) = (child.stdout.take().unwrap(), Arc::clone(&waiting));
        std::thread::spawn(move || hand_out(BufReader::new(answers), &told));
        Java {
            commands: Mutex::new(child.stdin.take()),
            child: Mutex::new(child),
            waiting,
            next: AtomicU64::new(0),
            scratch,
        }
    }

    /// A folder in it, under any name that no other folder of this JVM has.
    pub(crate) fn store<'j>(&'j self, name: &'j str) -> JavaStore<'j> {
        JavaStore { java: self, name }
    }

    /// `kill -9`. When it returns the process is gone, and with it its locks.
    pub(crate) fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }

    /// Lets the JVM end by `Runtime.halt`: no shutdown, no hook. When it returns the process is gone.
    pub(crate) fn halt(&self) {
        if let Some(mut commands) = self.commands.lock().unwrap().take() {
            let _ = writeln!(commands, "{}", json!({"do": "halt"}));
        }
        let _ = self.child.lock().unwrap().wait();
    }

    /// Sends a command; the answer comes through the channel, which closes if the JVM goes first.
    fn send(&self, mut command: Value) -> Receiver<Value> {
        let (answer, here) = channel();
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        command["id"] = json!(id);
        if let Some(waiting) = self.waiting.lock().unwrap().as_mut() {
            waiting.insert(id, answer);
        }
        if let Some(commands) = self.commands.lock().unwrap().as_mut() {
            // A JVM that has gone answers nothing, which the reader of its answers finds out.
            let _ = commands.write_all(format!("{command}\n").as_bytes()).and_then(|()| commands.flush());
        }
        here
    }

    fn a_file(&self) -> PathBuf {
        self.scratch.path().join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }
}

impl Drop for Java {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Gives each answer to who asked, until the JVM is gone; then nobody waits any more.
fn hand_out(answers: impl BufRead, waiting: &Waiting) {
    for line in answers.lines().map_while(Result::ok) {
        // A killed JVM may leave half a line.
        let Ok(answer) = serde_json::from_str::<Value>(&line) else { break };
        let asked = waiting.lock().unwrap().as_mut().and_then(|all| all.remove(&answer["id"].as_u64()?));
        if let Some(asked) = asked {
            let _ = asked.send(answer);
        }
    }
    *waiting.lock().unwrap() = None;
}

impl JavaStore<'_> {
    fn call(&self, what: &str, mut with: Value) -> Result<Value, Fault> {
        with["do"] = json!(what);
        with["store"] = json!(self.name);
        let answer = self.java.send(with).recv().map_err(|_| Fault::Gone)?;
        match answer["error"].as_str() {
            None => Ok(answer),
            Some(error) => Err(Fault::Refused {
                error: format!("{error} at {}", answer["where"].as_str().unwrap_or_default()),
                abort: answer["abort"] == true,
            }),
        }
    }

    /// Loads, recovers and starts RocketMQ's store in `dir`. A refused one can be closed, as a broker closes it.
    pub(crate) fn open(&self, dir: &Path, config: &Config) -> Result<Opened, Fault> {
        let answer = self.call("open", json!({"dir": dir.to_str().unwrap(), "config": config.json()}))?;
        let number = |field: &str| answer[field].as_i64().unwrap();
        Ok(Opened { abort: answer["abort"] == true, first: number("first"), end: number("end") })
    }

    /// Puts messages in their order, one after the other ([`message_json`], [`batch_json`]).
    pub(crate) fn put(&self, messages: &[Value]) -> Result<Vec<Put>, Fault> {
        let answer = self.call("put", json!({"messages": messages}))?;
        Ok(answer["results"].as_array().unwrap().iter().map(put_of).collect())
    }

    /// Every message of every queue, as `getMessage` gives them 32 at a time, once dispatch has caught up.
    pub(crate) fn read(&self) -> Result<Vec<SeenQueue>, Fault> {
        let file = self.java.a_file();
        self.call("read", json!({"file": file.to_str().unwrap()}))?;
        let text = std::fs::read_to_string(&file).unwrap();
        let _ = std::fs::remove_file(&file);
        let mut queues: Vec<SeenQueue> = Vec::new();
        for line in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            match line.get("odd") {
                Some(_) => queues.push(SeenQueue::of_json(&line)),
                None => queues.last_mut().unwrap().messages.push(Seen::of_json(&line)),
            }
        }
        Ok(queues)
    }

    /// For each ask the places in the log, ascending, as `queryMessage` answers.
    pub(crate) fn query(&self, asks: &[KeyAsk]) -> Result<Vec<Vec<u64>>, Fault> {
        let asks: Vec<_> = asks
            .iter()
            .map(|a| json!({"topic": a.topic, "key": a.key, "max": a.most, "begin": a.begin, "end": a.end}))
            .collect();
        let answer = self.call("query", json!({"asks": asks}))?;
        let numbers = |list: &Value| list.as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect();
        Ok(answer["found"].as_array().unwrap().iter().map(numbers).collect())
    }

    /// For each ask the queue offset, as `getOffsetInQueueByTime` answers.
    pub(crate) fn time(&self, asks: &[TimeAsk]) -> Result<Vec<u64>, Fault> {
        let asks: Vec<_> = asks
            .iter()
            .map(|a| json!({"topic": a.topic, "queue": a.queue, "at": a.at, "upper": a.upper}))
            .collect();
        let answer = self.call("time", json!({"asks": asks}))?;
        Ok(answer["found"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap()).collect())
    }

    /// The records at these places of the log; `None` where Java finds none.
    pub(crate) fn look(&self, offsets: &[u64]) -> Result<Vec<Option<Seen>>, Fault> {
        let file = self.java.a_file();
        self.call("look", json!({"offsets": offsets, "file": file.to_str().unwrap()}))?;
        let text = std::fs::read_to_string(&file).unwrap();
        let _ = std::fs::remove_file(&file);
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        Ok(lines.map(|line| (!line.is_null()).then(|| Seen::of_json(&line))).collect())
    }

    /// First and end of the log.
    pub(crate) fn log(&self) -> Result<(i64, i64), Fault> {
        let answer = self.call("log", json!({}))?;
        Ok((answer["first"].as_i64().unwrap(), answer["end"].as_i64().unwrap()))
    }

    pub(crate) fn flush(&self) -> Result<(), Fault> {
        self.call("flush", json!({})).map(drop)
    }

    /// Ends the store as a broker does, which takes RocketMQ three seconds, and says whether it took its mark of a
    /// disorderly end away. The folder may be opened again under another name.
    pub(crate) fn close(&self) -> Result<bool, Fault> {
        Ok(self.call("close", json!({}))?["clean"] == true)
    }
}

/// Java's answer to one put. Of a batch it names every record by an id whose last sixteen digits are the place.
fn put_of(answer: &Value) -> Put {
    let ids = answer["ids"].as_str().unwrap_or_default();
    let place = |id: &str| u64::from_str_radix(&id[id.len() - 16..], 16).unwrap();
    Put {
        status: answer["status"].as_str().unwrap().to_owned(),
        offsets: ids.split(',').filter(|id| !id.is_empty()).map(place).collect(),
        size: answer["size"].as_u64().unwrap_or(0),
        queue_offset: answer["queue_offset"].as_u64().unwrap_or(0),
        stored: answer["stored"].as_i64().unwrap_or(0),
    }
}

/// A message for [`JavaStore::put`]. The store's host is Java's to write, message by message.
pub(crate) fn message_json(message: &sawlog::Message, store_host: std::net::SocketAddr) -> Value {
    let mut all = part_json(message);
    all["topic"] = json!(message.topic.to_string());
    all["queue"] = json!(message.queue_id);
    all["sys"] = json!(message.sys_flags.0);
    all["born"] = json!(message.born.map_or(0, |born| born.0));
    all["born_host"] = json!(message.born_host.to_string());
    all["store_host"] = json!(store_host.to_string());
    all["reconsume"] = json!(message.reconsume_times);
    all["prepared"] = json!(message.prepared_offset);
    all
}

/// A batch for [`JavaStore::put`]: topic, queue, hosts, time and system flags are the first one's.
pub(crate) fn batch_json(messages: &[sawlog::Message], store_host: std::net::SocketAddr) -> Value {
    let mut all = message_json(&messages[0], store_host);
    all["batch"] = json!(messages.iter().map(part_json).collect::<Vec<_>>());
    all["props"] = json!({});
    all["body"] = json!("");
    all["flag"] = json!(0);
    all
}

fn part_json(message: &sawlog::Message) -> Value {
    let properties: HashMap<_, _> = message.properties.iter().collect();
    json!({"body": hex(&message.body), "flag": message.flag, "props": properties})
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digit = |d: u8| char::from(d).to_digit(16).unwrap() as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
