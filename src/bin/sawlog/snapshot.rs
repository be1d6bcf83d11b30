//! `sawlog snapshot`: a consistent, verified copy of a store, by links where that is safe.

use std::ops::ControlFlow;
use std::path::PathBuf;

use indicatif::HumanBytes;
use sawlog::inspect::{SnapshotMade, SnapshotOptions, SnapshotTold, Told, Verification};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::interrupt::Interrupt;
use crate::output::{Kind, Out};
use crate::store::StoreArgs;
use crate::verify::{self, count};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog snapshot /var/lib/store /var/lib/store-monday
  sawlog snapshot /var/lib/store /backup/store --copy --json

Of a store at rest, which is locked meanwhile, the copy holds all there is. Of one that sawlog is writing it holds what
the mark said was durable when the copy began, and opens as after a crash at that moment; nothing durable is
lost by that. A store that a Java broker is writing is refused: stop the broker, or copy with its own tools.

Segments that nobody appends to any more become hard links, where OUT lies on the same file system; all else is
copied. Retention removes names, and the bytes stay as long as one name does. A linked segment is one file: who cuts
one of the two logs at damage (a Java broker after a crash; sawlog with FirstBroken) may change both. --copy shares
nothing. OUT appears only when it is whole, synced and verified; it must not be there before.
Exit codes: 0 made, and sound; 1 damage was found, and OUT is there only with --keep-damaged; 2 usage, or OUT is there
already; 3 it is no store, locked by a broker, or cannot be read; 130 interrupted, and nothing is left.";

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// The folder that is made
    out: PathBuf,
    /// Copy every byte, link nothing
    #[arg(long)]
    copy: bool,
    /// Keep the copy of a damaged store
    #[arg(long)]
    keep_damaged: bool,
    /// Print nothing but an error
    #[arg(long, conflicts_with = "json")]
    quiet: bool,
    /// The faults as one JSON object a line, and at the end one for the whole
    #[arg(long)]
    json: bool,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut options = SnapshotOptions::new();
    if args.copy {
        options = options.copy_all();
    }
    if args.keep_damaged {
        options = options.keep_damaged();
    }
    let (mut out, mut printed) = (Out::new(), Ok(()));
    let bar = if args.quiet { indicatif::ProgressBar::hidden() } else { verify::bar() };
    let made = args.store.look().snapshot(&args.out, &options, |told| {
        match told {
            SnapshotTold::Copied(bytes) => {
                bar.set_length(bytes);
                bar.set_position(bytes);
                bar.set_message("copying");
            }
            SnapshotTold::Verifying(Told::Fault(fault)) if !args.quiet => {
                let line = if args.json {
                    verify::fault_json(fault).to_string()
                } else {
                    verify::fault_line(fault, &out)
                };
                let shown = bar.suspend(|| out.line(line).and_then(|()| out.flush()));
                if printed.is_ok() {
                    printed = shown;
                }
            }
            SnapshotTold::Verifying(Told::Progress(progress)) => {
                verify::progressed(&bar, &progress, "verifying");
            }
            _ => {}
        }
        if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    bar.finish_and_clear();
    let made = made.map_err(Failure::of_store)?;
    if !args.quiet && printed.is_ok() {
        let line = if args.json { json_of(args, &made).to_string() } else { text_of(args, &made, &out) };
        printed = out.line(line).and_then(|()| out.flush());
    }
    match (&made.verified, made.kept) {
        (Some(verified), _) if verified.damages() > 0 => {
            Err(Failure::Damaged(damaged(args, &made, verified)))
        }
        // That nobody reads what is printed does not unmake the copy.
        (_, true) => {
            printed.or_else(|failure| if failure == Failure::Unheard { Ok(()) } else { Err(failure) })
        }
        (_, false) => Err(Failure::Interrupted),
    }
}

fn damaged(args: &Args, made: &SnapshotMade, verified: &Verification) -> String {
    let places = verify::places(verified.damages());
    let out = args.out.display();
    if made.kept {
        format!("{places} in the copy {out}, as in the store")
    } else {
        format!("{places} in the store; {out} was not made (--keep-damaged makes it all the same)")
    }
}

fn text_of(args: &Args, made: &SnapshotMade, out: &Out) -> String {
    let verdict = match (&made.verified, made.kept) {
        (Some(verified), _) if verified.damages() > 0 => {
            out.paint(Kind::Bad, verify::places(verified.damages()))
        }
        (_, true) => out.paint(Kind::Good, "sound"),
        (_, false) => "broken off".to_owned(),
    };
    let seen = made.verified.as_ref().map_or_else(String::new, |verified| {
        format!(
            "; {}, {} of {}, {}",
            count(verified.records, "record", "records"),
            count(verified.entries, "entry", "entries"),
            count(verified.queues, "queue", "queues"),
            count(verified.keys, "key", "keys"),
        )
    });
    let live = if made.live { ", beside its writer" } else { "" };
    format!(
        "{verdict}: {} holds the log from {} to {}{live}{seen}; {} linked, {} copied",
        args.out.display(),
        made.first,
        made.to,
        count(made.linked_segments, "segment", "segments"),
        HumanBytes(made.copied_bytes)
    )
}

fn json_of(args: &Args, made: &SnapshotMade) -> Value {
    json!({
        "out": args.out,
        "kept": made.kept,
        "live": made.live,
        "first": made.first.0,
        "to": made.to.0,
        "linked_segments": made.linked_segments,
        "copied_bytes": made.copied_bytes,
        "verification": made.verified.as_ref().map(verify::verification_json),
    })
}
