//! The simulated disk held to what it says of itself.

mod calls;
mod cuts;
mod faults;
mod links;
mod oracle;
mod replays;
mod space;

use std::io;
use std::path::Path;

use super::{Aim, Fault, FaultKind, OpKind, SimDisk, Survivors};
use crate::disk::{Access, Disk, DiskFile, Reserve};

/// The models that leave something to the seed.
const CHANCE: [Survivors; 3] = [Survivors::Prefix, Survivors::Sectors, Survivors::Bytes];

fn p(path: &str) -> &Path {
    Path::new(path)
}

/// A file whose name is durable and whose bytes and length are not.
fn named(disk: &SimDisk, path: &str, len: u64) -> Box<dyn DiskFile> {
    disk.create_dirs(p(path).parent().unwrap()).unwrap();
    let file = disk.create(p(path), len, Reserve::Blocks).unwrap();
    disk.sync_dir(p(path).parent().unwrap()).unwrap();
    file
}

/// A file all of which is durable: zeros.
fn synced(disk: &SimDisk, path: &str, len: u64) -> Box<dyn DiskFile> {
    let file = named(disk, path, len);
    file.sync().unwrap();
    file
}

fn bytes(disk: &SimDisk, path: &str) -> Vec<u8> {
    disk.read_file(path).unwrap()
}

fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
    match result {
        Ok(_) => panic!("an error was due"),
        Err(e) => e.kind(),
    }
}

/// Every image that these seeds give, under every model.
fn images(disk: &SimDisk, seeds: u64) -> impl Iterator<Item = (Survivors, u64, SimDisk)> {
    let all = Survivors::ALL.into_iter().flat_map(move |model| (0..seeds).map(move |seed| (model, seed)));
    all.map(|(model, seed)| (model, seed, disk.power_cut(seed, model)))
}
