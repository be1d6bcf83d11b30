//! What a run says: `peers.md` and the plots beside `peers.csv`.

mod plots;
mod tables;
mod targets;

use std::fmt::Write;
use std::fs;

use crate::args::Args;
use crate::figures::Figures;
use crate::machine;

pub(crate) fn write(args: &Args) -> std::io::Result<()> {
    let figures = Figures::load(&args.out.join("peers.csv"))?;
    let mut text = String::new();
    for line in machine::describe(&args.dir) {
        let _ = writeln!(text, "- {line}");
    }
    text.push_str(
        "\nA ratio is a figure over that of `raw` in the same round; medians over the rounds, least and greatest in \
         brackets.\n",
    );
    targets::write(&figures, &mut text);
    tables::write(&figures, &mut text);
    fs::write(args.out.join("peers.md"), text)?;
    for (name, svg) in plots::all(&figures) {
        fs::write(args.out.join(name), svg)?;
    }
    eprintln!("{}: peers.csv, peers.md and the plots", args.out.display());
    Ok(())
}

/// Three figures are all that a run is good for.
fn number(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e4 => format!("{:.0} k", v / 1e3),
        v if v >= 1e3 => format!("{:.1} k", v / 1e3),
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

/// A body's length, for a heading.
fn bytes(size: usize) -> String {
    if size >= 1024 { format!("{} KiB", size / 1024) } else { format!("{size} B") }
}
