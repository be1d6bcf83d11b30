//! `sawlog repair`: mends a store by opening it with the chosen answer to damage, after a copy of it was put beside.

use std::ops::ControlFlow;
use std::path::PathBuf;

use clap::ValueEnum;
use sawlog::clock::{Clock, SystemClock};
use sawlog::disk::{Disk, OsDisk};
use sawlog::inspect::{Opening, SnapshotMade, SnapshotOptions, Survey, Verification, VerifyOptions};
use sawlog::{Error, OnDamage, RecoveryReport, Store};
use serde_json::{Value, json};

use crate::failure::{Failure, Result};
use crate::fill;
use crate::interrupt::Interrupt;
use crate::output::{Kind, Out};
use crate::store::{StoreArgs, locked};
use crate::verify::{self, Show};

pub(crate) const EXAMPLES: &str = "\
Examples:
  sawlog repair /var/lib/store                          look, and tell what would be done
  sawlog repair /var/lib/store --apply                  cut a torn tail, let queues and key index catch up
  sawlog repair /var/lib/store --rebuild --apply        make queues and key index anew from the log
  sawlog repair /var/lib/store --damage quarantine --apply

Without --apply nothing is changed. With it, the store is first copied beside itself, damage and all, to
DIR.before-repair or to --aside: sealed segments as hard links, the rest as copies (with --damage cut all of it as
copies). What is cut off the log is kept in DIR/sawlog as well. Then the store is opened, which mends it, closed, and
verified again. No message is removed for its age.

A torn tail, as a crash leaves it, is always cut. Damage is another matter:
  refuse      leave it, and the store as it is
  quarantine  put the damaged parts on a list and step over them: all around them can be read, and appended to.
              Such a store is no longer one for a Java broker. Bytes that were put back are taken off the list,
              whenever the store is opened. All of the log is looked at, and queues and key index made anew
  cut         end the log at the first damage, as RocketMQ does, that on the list included; everything behind it is
              lost to readers. All of the log is looked at, and queues and key index made anew. A file of the log that
              was cut short is filled up with zeros before
Exit codes: 0 sound; 1 damage was found, or is left (what is on the list counts); 2 usage; 3 it is no store, or
locked, or cannot be read; 130 interrupted.";

/// See the file's text.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    store: StoreArgs,
    /// Do it
    #[arg(long)]
    apply: bool,
    /// What to do about damage of the log
    #[arg(long, value_enum, default_value = "refuse", value_name = "ANSWER")]
    damage: Answer,
    /// Make queues and key index anew from the log, whatever their files say
    #[arg(long)]
    rebuild: bool,
    /// Where the store is copied before [default: DIR.before-repair]
    #[arg(long, value_name = "OUT")]
    aside: Option<PathBuf>,
    /// Copy nothing aside but what is cut off the log
    #[arg(long, conflicts_with = "aside")]
    no_aside: bool,
    /// One JSON object for the whole, behind one for each fault
    #[arg(long)]
    json: bool,
}

impl Args {
    /// Whether all of the log is looked at, and queues and key index made anew: damage that opening does not come to is
    /// found no other way.
    fn looks_through(&self, before: &Verification) -> bool {
        self.rebuild || self.damage != Answer::Refuse && before.damages() > 0
    }
}

/// The same as [`OnDamage`], as words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Answer {
    Refuse,
    Quarantine,
    Cut,
}

/// See the file's text.
pub(crate) fn run(args: &Args) -> Result<()> {
    let interrupt = Interrupt::listen()?;
    let mut out = Out::new();
    let survey = args.store.look().survey().map_err(Failure::of_store)?;
    if matches!(survey.opening, Opening::Held) {
        return Err(locked(&survey));
    }
    let before = verified(args, &mut out, &interrupt, "before")?;
    let work = work(args, &survey, &before);
    if !args.apply || work.iter().all(|each| each.is_left) {
        return tell_plan(args, &survey, &before, &work, &mut out);
    }
    let aside = if args.no_aside { None } else { Some(copy_aside(args, &interrupt, &mut out)?) };
    if args.damage == Answer::Cut {
        fill::short_segments(&args.store)?;
    }
    let (report, quarantined) = mend(args, &before)?;
    if !args.json {
        out.line(format_args!("{} {report}", out.paint(Kind::Name, "mended:")))?;
        for part in &quarantined {
            out.line(format_args!("stepped over from now on: {part}"))?;
        }
        out.flush()?;
    }
    let after = verified(args, &mut out, &interrupt, "after")?;
    if args.json {
        out.line(json!({
            "applied": true,
            "work": work.iter().map(|each| &each.what).collect::<Vec<_>>(),
            "before": verify::verification_json(&before),
            "aside": aside.as_ref().map(|(path, made)| json!({
                "path": path, "linked_segments": made.linked_segments, "copied_bytes": made.copied_bytes,
            })),
            "report": report_json(&report),
            "quarantined": quarantined,
            "after": verify::verification_json(&after),
        }))?;
    }
    out.flush()?;
    ended(&after)
}

fn ended(verification: &Verification) -> Result<()> {
    match verification.damages() {
        0 => Ok(()),
        damages => Err(Failure::Damaged(verify::places(damages))),
    }
}

fn verified(args: &Args, out: &mut Out, interrupt: &Interrupt, when: &str) -> Result<Verification> {
    let clock = SystemClock::new();
    let show = Show { quiet: false, json: args.json };
    let done = verify::look_over(&args.store.look(), &VerifyOptions::new(), show, out, interrupt)?;
    interrupt.check()?;
    if !args.json {
        let summary = verify::summary(&done, clock.elapsed().as_secs_f64(), out);
        out.line(format_args!("{} {summary}", out.paint(Kind::Name, format_args!("{when}:"))))?;
        out.flush()?;
    }
    Ok(done)
}

/// One thing to do, in words.
struct Work {
    what: String,
    /// It stays as it is, unless asked for otherwise.
    is_left: bool,
}

/// What there is to do.
fn work(args: &Args, survey: &Survey, before: &Verification) -> Vec<Work> {
    let mut work = Vec::new();
    let mut add = |is_left, what: String| work.push(Work { what, is_left });
    let damaged = before.damages() > 0;
    let (quarantines, cuts) = (args.damage == Answer::Quarantine, args.damage == Answer::Cut);
    let mut lifts = false;
    match &survey.opening {
        Opening::Refused { why: Error::Geometry { path, found, expected }, .. }
            if cuts && fill::is_short(&args.store, path, (*found, *expected)) =>
        {
            let path = path.display();
            add(
                false,
                format!("fill {path}, which was cut short, with zeros from {found} bytes to {expected}"),
            );
        }
        Opening::Refused { first_broken: Some(cut), .. } if cuts => {
            add(false, format!("cut the log at damage: {cut}"));
        }
        Opening::Refused { why: Error::Corrupt(_), .. } if quarantines && damaged => {}
        Opening::Refused { why, .. } => {
            add(true, format!("leave the store as it is, which would not open: {why}"));
            return work;
        }
        Opening::Opens(recovery) => {
            lifts = !recovery.lifted.is_empty();
            if lifts || !recovery.clean_shutdown || !recovery.cuts.is_empty() {
                let after = if recovery.clean_shutdown { "" } else { " as after a crash" };
                add(false, format!("open it{after}: {recovery}"));
            }
        }
        _ => {}
    }
    match args.damage {
        _ if !damaged => {}
        Answer::Quarantine => {
            add(false, "put each damaged part of the log on the list, and step over it".into());
        }
        Answer::Cut => add(false, "look through all of the log, and end it at the first damage".into()),
        Answer::Refuse => {}
    }
    if args.looks_through(before) {
        add(false, "make queues and key index anew from the log".into());
    } else if damaged && !lifts {
        add(true, "leave the damage where it is: see --damage, and --rebuild".into());
    }
    work
}

fn tell_plan(
    args: &Args,
    survey: &Survey,
    before: &Verification,
    work: &[Work],
    out: &mut Out,
) -> Result<()> {
    if args.json {
        let object = json!({
            "applied": false,
            "work": work.iter().map(|each| &each.what).collect::<Vec<_>>(),
            "opening": survey.opening.to_string(),
            "before": verify::verification_json(before),
        });
        out.line(object)?;
    } else if work.is_empty() {
        out.line("there is nothing to do")?;
    } else {
        for each in work {
            let would = out.paint(Kind::Name, if args.apply { "does:" } else { "would:" });
            out.line(format_args!("{would} {}", each.what))?;
        }
        let more = work.iter().any(|each| !each.is_left);
        out.line(if more { "nothing was changed; --apply does it" } else { "nothing was changed" })?;
    }
    out.flush()?;
    ended(before)
}

/// A copy of the store as it is, damage and all.
fn copy_aside(args: &Args, interrupt: &Interrupt, out: &mut Out) -> Result<(PathBuf, SnapshotMade)> {
    let to = args.aside.clone().unwrap_or_else(|| {
        let mut name = args.store.dir.clone().into_os_string();
        name.push(".before-repair");
        PathBuf::from(name)
    });
    if matches!(OsDisk::new().entry(&to), Ok(Some(_))) {
        let why = format!(
            "{} is there already: name another place with --aside, or copy nothing with --no-aside",
            to.display()
        );
        return Err(Failure::Usage(why));
    }
    let options = SnapshotOptions::new().keep_damaged();
    // Cutting at damage zeroes the rest of a segment, whatever other name that has.
    let options = if args.damage == Answer::Cut { options.copy_all() } else { options };
    let go_on = || if interrupt.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    let made = args.store.look().snapshot(&to, &options, |_| go_on()).map_err(Failure::of_store)?;
    interrupt.check()?;
    if !args.json {
        out.line(format_args!("{} {}", out.paint(Kind::Name, "copied to"), to.display()))?;
        out.flush()?;
    }
    Ok((to, made))
}

/// Opens and closes the store; what it says of that, and what is on the list of damage now.
fn mend(args: &Args, before: &Verification) -> Result<(RecoveryReport, Vec<String>)> {
    let mut options = args.store.options(false)?.on_damage(match args.damage {
        Answer::Refuse => OnDamage::Refuse,
        Answer::Quarantine => OnDamage::Quarantine,
        Answer::Cut => OnDamage::FirstBroken,
    });
    if args.looks_through(before) {
        options = options.rebuild_derived();
    }
    if args.damage == Answer::Cut {
        options = options.forget_quarantine();
    }
    let store = Store::open(&args.store.dir, options).map_err(Failure::of_store)?;
    let report = store.recovery().clone();
    let quarantined = store.quarantined().iter().map(ToString::to_string).collect();
    store.close().map_err(Failure::of_store)?;
    Ok((report, quarantined))
}

fn report_json(report: &RecoveryReport) -> Value {
    let cut = |cut: &sawlog::Cut| {
        json!({
            "from": cut.from.0,
            "to": cut.to.0,
            "saved": cut.saved,
            "damage": cut.damage,
            "why": cut.why.to_string(),
        })
    };
    json!({
        "clean_shutdown": report.clean_shutdown,
        "foreign_writer": report.foreign_writer,
        "records": report.records,
        "log_end": report.log_end.0,
        "rewritten_bytes": report.rewritten_bytes,
        "rebuilt": report.rebuilt,
        "cuts": report.cuts.iter().map(cut).collect::<Vec<_>>(),
        "lifted": report.lifted.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "set_aside": report.set_aside,
    })
}
