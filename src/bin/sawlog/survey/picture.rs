//! The log as a bar of segments, with damage marked.

use sawlog::inspect::{Holds, Opening, PlannedCut, Recovery, Survey};
use sawlog::{Damage, Error, LogOffset};

use crate::failure::Result;
use crate::output::{Kind, Out};

/// The longest bar, in characters.
const MOST_CELLS: usize = 100;

/// What a character of the bar stands for; of several segments in one the gravest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Cell {
    Nothing,
    Partly,
    Full,
    Tail,
    Bad,
}

impl Cell {
    fn shown(self) -> (char, Kind, &'static str) {
        match self {
            Cell::Nothing => ('·', Kind::Aside, "made ahead, empty"),
            Cell::Partly => ('▌', Kind::Good, "the log's end"),
            Cell::Full => ('█', Kind::Good, "records"),
            Cell::Tail => ('▒', Kind::Name, "a tail that no sync covered"),
            Cell::Bad => ('✗', Kind::Bad, "damaged or missing"),
        }
    }
}

/// Draws the bar, and says what its characters mean.
pub(super) fn draw(survey: &Survey, out: &mut Out) -> Result<()> {
    let cells = cells(survey);
    let width = out.columns().saturating_sub(4).clamp(1, MOST_CELLS);
    let each = cells.len().div_ceil(width).max(1);
    let shown: Vec<Cell> =
        cells.chunks(each).map(|some| some.iter().copied().max().unwrap_or(Cell::Nothing)).collect();
    let mut bar = String::new();
    for same in shown.chunk_by(|a, b| a == b) {
        let Some((shape, kind, _)) = same.first().map(|cell| cell.shown()) else { continue };
        bar.push_str(&out.paint(kind, String::from_iter(std::iter::repeat_n(shape, same.len()))));
    }
    out.line(format_args!("  [{bar}]"))?;
    let mut kinds = shown;
    kinds.sort_unstable();
    kinds.dedup();
    let meaning = kinds.iter().rev().map(|cell| {
        let (shape, kind, text) = cell.shown();
        format!("{} {text}", out.paint(kind, shape))
    });
    let several = if each > 1 { format!("; {each} segments a character") } else { String::new() };
    out.line(format_args!("  {}{several}", meaning.collect::<Vec<_>>().join(", ")))
}

/// One for each segment, and for each that is missing.
fn cells(survey: &Survey) -> Vec<Cell> {
    let bytes = survey.segment_bytes.unwrap_or(1).max(1);
    let first = survey.segments.first().map(|segment| segment.base);
    // A gap in front of all.
    let front = survey.missing.first().filter(|(_, to)| Some(*to) == first).map(|(from, _)| from.0);
    let (mut cells, mut next) = (Vec::new(), front);
    for segment in &survey.segments {
        let base = segment.base.0;
        let missing = next.map_or(0, |next: u64| base.saturating_sub(next) / bytes);
        // A gap of any width is one mark too many already; more than fit say nothing more.
        let missing = usize::try_from(missing).unwrap_or(MOST_CELLS).min(MOST_CELLS);
        cells.extend(std::iter::repeat_n(Cell::Bad, missing));
        next = Some(base.saturating_add(bytes));
        cells.push(cell(survey, segment.base, segment.base.plus(bytes), &segment.holds));
    }
    cells
}

fn cell(survey: &Survey, base: LogOffset, end: LogOffset, holds: &Holds) -> Cell {
    let holds_bad = |at: LogOffset| base <= at && at < end;
    let cut = |cut: &PlannedCut| cut.from < end && base < cut.to;
    let known: Option<&Recovery> = match &survey.opening {
        Opening::Opens(recovery) => Some(recovery),
        // A missing segment has a mark of its own.
        Opening::Refused { why: Error::Corrupt(why), .. }
            if holds_bad(why.at) && why.what != Damage::MissingSegment =>
        {
            return Cell::Bad;
        }
        Opening::Refused { first_broken, .. } => first_broken.as_deref(),
        _ => None,
    };
    if survey.quarantined.iter().any(|part| part.from < end && base < part.to) {
        return Cell::Bad;
    }
    match holds {
        Holds::Unreadable(_) => return Cell::Bad,
        Holds::Nothing | Holds::Gone => return Cell::Nothing,
        _ => {}
    }
    match known {
        Some(known) if known.cuts.iter().any(|c| cut(c) && !c.damage) => Cell::Tail,
        Some(known) if holds_bad(known.log_end) && known.cuts.is_empty() => Cell::Partly,
        _ => Cell::Full,
    }
}
