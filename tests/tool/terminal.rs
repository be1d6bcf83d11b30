//! In a real terminal, which is a pair of descriptors: colours, a bar, a picture as wide as it may be.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::{data, tool};

/// Both ends of a terminal of so many columns; `None` where the system has none to give.
fn terminal(columns: u16) -> Option<(OwnedFd, File)> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).ok()?;
    grantpt(&ours).and_then(|()| unlockpt(&ours)).ok()?;
    let name = ptsname(&ours, Vec::new()).ok()?;
    let theirs = File::options().read(true).write(true).open(name.to_str().unwrap()).ok()?;
    let size = Winsize { ws_row: 40, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&theirs, size).ok()?;
    Some((ours, theirs))
}

/// What a command writes to a terminal, errors and all; `None` where there is no terminal.
fn shown(command: &mut Command, columns: u16) -> Option<String> {
    let Some((ours, theirs)) = terminal(columns) else {
        println!("skipped: this system gives no pseudo-terminal");
        return None;
    };
    let mut child = command.stdout(theirs.try_clone().unwrap()).stderr(theirs).spawn().unwrap();
    // Our own copies of that end must be closed, or the reading would never end.
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let (mut text, mut from) = (Vec::new(), File::from(ours));
    let mut piece = [0; 4096];
    // A terminal whose other end is closed answers with an error.
    while let Ok(read) = from.read(&mut piece) {
        if read == 0 {
            break;
        }
        text.extend_from_slice(&piece[..read]);
    }
    child.wait().unwrap();
    Some(String::from_utf8_lossy(&text).into_owned())
}

fn command(words: &[&str]) -> Command {
    let mut command = tool(words, &data());
    command.current_dir(data()).env("TERM", "xterm");
    command
}

#[test]
fn colours_are_for_terminals_alone_and_not_for_everybody() {
    let words = ["survey", "rocketmq-5.3.3/plain"];
    let Some(coloured) = shown(&mut command(&words), 120) else { return };
    assert!(coloured.contains("\u{1b}[32m") && coloured.contains("█"), "{coloured}");
    let plain = shown(command(&words).env("NO_COLOR", "1"), 120).unwrap();
    assert!(!plain.contains('\u{1b}') && plain.contains("█"), "{plain}");
    let dumb = shown(command(&words).env("TERM", "dumb"), 120).unwrap();
    assert!(!dumb.contains('\u{1b}'), "{dumb}");
    // Apart from the colours it is the same.
    let mut bare = String::new();
    let mut parts = coloured.split('\u{1b}');
    bare.push_str(parts.next().unwrap());
    parts.for_each(|part| bare.push_str(part.split_once('m').unwrap().1));
    assert_eq!(bare, plain);
    let piped = command(&words).output().unwrap();
    assert!(!String::from_utf8(piped.stdout).unwrap().contains('\u{1b}'));
}

#[test]
fn a_bar_shows_how_far_a_verification_is_and_goes_away() {
    let words = ["verify", "rocketmq-5.3.3/plain"];
    let Some(text) = shown(&mut command(&words), 100) else { return };
    // What the bar is made of, drawn and cleared before the answer.
    assert!(text.contains(" of ") && text.contains("left"), "{text:?}");
    let answer = text.rfind("sound").expect("an answer");
    assert!(text[..answer].contains('['), "{text:?}");
    let quiet = shown(&mut command(&["verify", "rocketmq-5.3.3/plain", "--quiet"]), 100).unwrap();
    assert_eq!(quiet, "");
}

#[test]
fn the_picture_of_the_log_is_no_wider_than_the_terminal() {
    for columns in [7, 40, 200] {
        let words = ["survey", "rocketmq-5.3.3/plain"];
        let Some(text) = shown(command(&words).env("NO_COLOR", "1"), columns) else { return };
        let bar = text.lines().find(|line| line.starts_with("  [")).expect("a bar").trim_end();
        assert!(bar.chars().count() <= usize::from(columns).max(8), "{columns}: {bar}");
    }
}
