//! What only the disks of a machine can show: links and mounts, other processes, a full file system, limits.
//!
//! Tests that need another process start this binary again, with one test and a word in the environment; tests
//! that need a file system of their own do so in a mount name space of their own, which ends with the process.

use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use sawlog::disk::{Access, Disk, MappedDisk, OsDisk, Reserve, default_for};

use crate::conformance::content;

/// The folder that a test of another process works in; set means: play that process.
const PART: &str = "SAWLOG_TEST_FOLDER";

fn disks() -> [Arc<dyn Disk>; 2] {
    [Arc::new(OsDisk::new()), Arc::new(MappedDisk::new())]
}

fn part() -> Option<PathBuf> {
    std::env::var_os(PART).map(PathBuf::from)
}

fn kind<T: std::fmt::Debug>(result: std::io::Result<T>) -> ErrorKind {
    result.unwrap_err().kind()
}

/// This binary, set to run one test of this module as another process.
fn again(test: &str, dir: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("real_disks::{test}"), "--nocapture"]).env(PART, dir);
    command
}

/// Runs a test in a mount name space of its own, after `mount` has put a file system at `$DIR`; says that it was
/// skipped where mounting is not allowed. What happens after the mounting is never taken for a refusal of it.
#[expect(clippy::print_stdout, reason = "a test that was skipped says so")]
fn on_a_mount(test: &str, mount: &str) {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("{mount} || exit 99\necho mounted\nexec \"$@\"");
    for user in ["-m", "-rm"] {
        let inner = again(test, dir.path());
        let mut command = Command::new("unshare");
        command.args([user, "sh", "-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
        let Ok(run) = command.env("DIR", dir.path()).env(PART, dir.path()).output() else { break };
        let text = String::from_utf8_lossy(&run.stdout).into_owned();
        if text.contains("mounted") {
            let words = String::from_utf8_lossy(&run.stderr);
            assert!(run.status.success() && text.contains("1 passed"), "{:?} {text} {words}", run.status);
            return;
        }
    }
    println!("skipped: mounting is not allowed here");
}

fn a_holder(test: &str, dir: &Path) -> Child {
    let mut holder = again(test, dir).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(holder.stdout.as_mut().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().contains("the lock is mine")), "the other process took no lock");
    holder
}

#[test]
fn a_lock_is_refused_to_another_process_and_falls_with_the_death_of_its_holder() {
    let name = "a_lock_is_refused_to_another_process_and_falls_with_the_death_of_its_holder";
    if let Some(dir) = part() {
        let _held = OsDisk::new().lock(&dir.join("lock")).unwrap();
        println!("the lock is mine");
        // Ends when the other side goes away, however it goes.
        let _ = std::io::stdin().read(&mut [0]);
        return;
    }
    for disk in disks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let mut holder = a_holder(name, dir.path());
        assert_eq!(kind(disk.lock(&path)), ErrorKind::WouldBlock);
        // A refusal opens the file and closes it again: the holder must not lose by that.
        assert_eq!(kind(disk.lock(&path)), ErrorKind::WouldBlock);
        holder.kill().unwrap();
        holder.wait().unwrap();
        let held = disk.lock(&path).unwrap();
        assert_eq!(kind(disk.lock(&path)), ErrorKind::WouldBlock);
        drop(held);
    }
}

#[test]
fn a_lock_is_kept_from_other_processes_through_every_refusal_in_its_own() {
    let name = "a_lock_is_kept_from_other_processes_through_every_refusal_in_its_own";
    if let Some(dir) = part() {
        let found = OsDisk::new().lock(&dir.join("lock"));
        println!("found it {}", if found.is_ok() { "free" } else { "held" });
        return;
    }
    let asked = |dir: &Path| {
        let out = again(name, dir).output().unwrap();
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    for disk in disks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        assert!(asked(dir.path()).contains("found it free"));
        let held = disk.lock(&path).unwrap();
        std::fs::hard_link(&path, dir.path().join("hard")).unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("folder")).unwrap();
        for way in ["lock", "link", "hard", "folder/lock", "./lock", "folder/./link"] {
            let way = dir.path().join(way);
            assert_eq!(kind(disk.lock(&way)), ErrorKind::WouldBlock, "{}", way.display());
            // Reading the lock file would drop the lock at the end of the reading.
            assert_eq!(kind(disk.open(&way, Access::Read)), ErrorKind::WouldBlock, "{}", way.display());
            assert!(asked(dir.path()).contains("found it held"), "{}", way.display());
        }
        drop(held);
        assert!(asked(dir.path()).contains("found it free"));
        drop(disk.lock(&link).unwrap());
    }
}

#[test]
fn a_lock_is_one_through_another_mount_path() {
    let name = "a_lock_is_one_through_another_mount_path";
    if let Some(dir) = part() {
        for disk in disks() {
            let held = disk.lock(&dir.join("one/lock")).unwrap();
            assert_eq!(kind(disk.lock(&dir.join("two/lock"))), ErrorKind::WouldBlock);
            drop(held);
            drop(disk.lock(&dir.join("two/lock")).unwrap());
        }
        return;
    }
    on_a_mount(name, r#"mkdir "$DIR/one" "$DIR/two" && mount --bind "$DIR/one" "$DIR/two""#);
}

#[test]
fn a_full_disk_is_an_error_value_and_leaves_no_file() {
    let name = "a_full_disk_is_an_error_value_and_leaves_no_file";
    if let Some(dir) = part() {
        for disk in disks() {
            let path = dir.join("file");
            assert_eq!(kind(disk.create(&path, 4 << 20, Reserve::Blocks)), ErrorKind::StorageFull);
            assert!(disk.list(&dir).unwrap().is_empty());

            let sparse = disk.create(&path, 4 << 20, Reserve::Sparse).unwrap();
            sparse.write_at(5_000, b"kept").unwrap();
            assert_eq!(kind(sparse.reserve()), ErrorKind::StorageFull);
            // Without blocks a store must not go through the mapping: it would end in a signal here.
            let full = (0..1024).find_map(|page| sparse.store_mapped(page * 4096, &[&[1; 4096]]).err());
            assert_eq!(full.map(|error| error.kind()), Some(ErrorKind::StorageFull));
            drop(sparse);
            disk.remove(&path).unwrap();

            // Freed room is used without a restart, to the last byte of what was reserved.
            let fits = disk.create(&path, 512 << 10, Reserve::Blocks).unwrap();
            assert_eq!(
                kind(disk.create(&dir.join("more"), 1 << 20, Reserve::Blocks)),
                ErrorKind::StorageFull
            );
            fits.make_ready(0, fits.len());
            fits.store_mapped(0, &[&vec![7; 512 << 10]]).unwrap();
            fits.sync().unwrap();
            assert!(content(&*fits).iter().all(|byte| *byte == 7));
            let space = disk.space(&dir).unwrap();
            assert_eq!((space.total, space.free), (1 << 20, 512 << 10));
            let found = disk.describe(&dir).unwrap();
            assert_eq!((found.file_system.as_str(), found.in_memory), ("tmpfs", true));
            disk.remove(&path).unwrap();
        }
        return;
    }
    on_a_mount(name, r#"mount -t tmpfs -o size=1m none "$DIR""#);
}

#[test]
fn a_file_system_that_cannot_reserve_gets_zeros() {
    let name = "a_file_system_that_cannot_reserve_gets_zeros";
    if let Some(dir) = part() {
        for disk in disks() {
            let path = dir.join("file");
            let file = disk.create(&path, 200_001, Reserve::Blocks).unwrap();
            assert_eq!(content(&*file), vec![0; 200_001]);
            file.store_mapped(65_534, &[b"edge"]).unwrap();
            file.reserve().unwrap();
            assert_eq!(file.view(65_534, 4).unwrap(), b"edge"[..]);
            assert_eq!(disk.entry(&path).unwrap().unwrap().len, 200_001);
            assert_eq!(disk.describe(&dir).unwrap().file_system, "ramfs");
            disk.remove(&path).unwrap();
        }
        return;
    }
    on_a_mount(name, r#"mount -t ramfs none "$DIR""#);
}

#[test]
fn an_overlay_is_not_trusted_with_a_mapping() {
    let name = "an_overlay_is_not_trusted_with_a_mapping";
    if let Some(dir) = part() {
        assert!(format!("{:?}", default_for(&dir)).starts_with("MappedDisk"));
        let over = dir.join("over/not/there/yet");
        assert!(format!("{:?}", default_for(&over)).starts_with("OsDisk"));
        assert_eq!(OsDisk::new().describe(&dir.join("over")).unwrap().file_system, "overlay");
        return;
    }
    let mount = r#"mount -t tmpfs none "$DIR" && cd "$DIR" && mkdir low up work over
        mount -t overlay -o lowerdir=low,upperdir=up,workdir=work none over"#;
    on_a_mount(name, mount);
}

#[test]
fn the_file_size_limit_of_a_process_is_an_error_value_and_no_signal() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let name = "the_file_size_limit_of_a_process_is_an_error_value_and_no_signal";
    if let Some(dir) = part() {
        setrlimit(Resource::Fsize, Rlimit { current: Some(8_192), maximum: Some(8_192) }).unwrap();
        for disk in disks() {
            for reserve in [Reserve::Blocks, Reserve::Sparse] {
                let path = dir.join("file");
                assert_eq!(kind(disk.create(&path, 8_193, reserve)), ErrorKind::FileTooLarge);
                assert!(disk.entry(&path).unwrap().is_none());
                let file = disk.create(&path, 8_192, reserve).unwrap();
                file.write_at(8_191, b"x").unwrap();
                disk.remove(&path).unwrap();
            }
            assert_eq!(kind(disk.open(&dir.join("longer"), Access::Write)), ErrorKind::FileTooLarge);
            assert_eq!(disk.open(&dir.join("longer"), Access::Read).unwrap().len(), 10_000);
        }
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    drop(OsDisk::new().create(&dir.path().join("longer"), 10_000, Reserve::Sparse).unwrap());
    let out = again(name, dir.path()).output().unwrap();
    assert!(out.status.success(), "{:?} {}", out.status, String::from_utf8_lossy(&out.stdout));
}

#[test]
fn links_are_followed_and_a_link_to_nowhere_is_shown_as_an_empty_file() {
    for disk in disks() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        disk.create_dirs(&at("folder")).unwrap();
        disk.create(&at("folder/file"), 7, Reserve::Sparse).unwrap();
        std::os::unix::fs::symlink(at("folder"), at("a")).unwrap();
        std::os::unix::fs::symlink(at("folder/file"), at("b")).unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("c")).unwrap();
        let list = disk.list(dir.path()).unwrap();
        let found: Vec<_> = list.iter().map(|entry| (entry.name.as_str(), entry.len, entry.is_dir)).collect();
        assert_eq!(found, [("a", 0, true), ("b", 7, false), ("c", 0, false), ("folder", 0, true)]);
        assert_eq!(disk.list(&at("a")).unwrap().len(), 1);
        assert_eq!(disk.entry(&at("b")).unwrap().unwrap().len, 7);
        assert!(disk.entry(&at("c")).unwrap().is_none());
        assert_eq!(kind(disk.open(&at("c"), Access::Read)), ErrorKind::NotFound);
        disk.create_dirs(&at("a/inner")).unwrap();
        assert!(disk.entry(&at("folder/inner")).unwrap().unwrap().is_dir);
    }
}

#[test]
fn a_file_that_a_stranger_has_cut_is_read_as_an_error_by_position() {
    for disk in disks() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = disk.create(&path, 10_000, Reserve::Blocks).unwrap();
        std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(100).unwrap();
        assert_eq!(kind(file.read_at(50, &mut [0; 100])), ErrorKind::UnexpectedEof);
        file.read_at(0, &mut [0; 100]).unwrap();
    }
}

#[test]
fn a_view_of_a_mapped_file_copies_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("file");
    let file = MappedDisk::new().create(&path, 10_000, Reserve::Blocks).unwrap();
    let (whole, part) = (file.view(0, 10_000).unwrap(), file.view(4_000, 10).unwrap());
    assert_eq!(whole[4_000..].as_ptr(), part.as_ptr());
    let again = MappedDisk::new().open(&path, Access::Read).unwrap();
    assert_eq!(again.view(1, 1).unwrap().as_ptr(), again.view(1, 5).unwrap().as_ptr());
}
