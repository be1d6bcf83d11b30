//! A survey as one JSON object.

use sawlog::disk::Holder;
use sawlog::inspect::{Holds, Opening, Recovery, Survey, WriterState};
use sawlog::{Corruption, LogOffset};
use serde_json::{Value, json};

/// See the file's text.
pub(super) fn survey(survey: &Survey) -> Value {
    json!({
        "root": survey.root,
        "file_system": survey.file_system,
        "holder": holder(survey.holder),
        "segment_bytes": survey.segment_bytes,
        "segments": survey.segments.iter().map(|segment| json!({
            "base": segment.base.0,
            "path": segment.path,
            "bytes": segment.len,
            "holds": holds(&segment.holds),
        })).collect::<Vec<_>>(),
        "missing": survey.missing.iter().map(|(from, to)| json!([from.0, to.0])).collect::<Vec<_>>(),
        "given_up": survey.given_up,
        "queue_segment_entries": survey.queue_segment_entries,
        "queues": survey.queues.iter().map(|queue| json!({
            "topic": queue.topic,
            "queue": queue.id,
            "min": queue.min.0,
            "max": queue.max.0,
            "files": queue.files,
            "bytes": queue.bytes,
        })).collect::<Vec<_>>(),
        "index": survey.index.as_ref().map(|index| json!({
            "slots": index.geometry.map(|(slots, _)| slots),
            "entries": index.geometry.map(|(_, entries)| entries),
            "files": index.files.iter().map(|file| json!({
                "path": file.path,
                "bytes": file.len,
                "keys": file.keys,
                "stored": file.stored.map(|(from, to)| [from.0, to.0]),
                "records": file.records.map(|(from, to)| [from.0, to.0]),
            })).collect::<Vec<_>>(),
        })),
        "mark": survey.mark.as_ref().map(|mark| json!({
            "durable": mark.durable.0,
            "window_bytes": mark.window_bytes,
            "segment_bytes": mark.segment_bytes,
            "first": mark.first.map(|at| at.0),
            "ours_from": mark.ours_from.0,
            "state": match mark.state {
                WriterState::Open => "open",
                WriterState::Closed => "closed",
                WriterState::Failed => "failed",
            },
            "end": mark.end.0,
            "writer": mark.writer,
            "same_boot": mark.same_boot,
        })),
        "ranges": survey.ranges.iter().map(|(from, to)| json!([from.0, open_end(*to)])).collect::<Vec<_>>(),
        "quarantined": survey.quarantined.iter().map(|part| json!([part.from.0, part.to.0])).collect::<Vec<_>>(),
        "snapshot": survey.snapshot.as_ref().map(|snapshot| json!({
            "derived_to": snapshot.derived_to.0,
            "has_files": snapshot.has_files,
            "queues": snapshot.queues,
            "dropped": snapshot.dropped.iter().map(|(topic, to)| json!([topic, to.0])).collect::<Vec<_>>(),
        })),
        "abort": survey.abort.as_ref().map(|abort| json!({ "pid": abort.pid, "ours": abort.ours })),
        "checkpoint": survey.checkpoint.map(|saved| json!({
            "log": saved.log.0,
            "queues": saved.queues.0,
            "index": saved.index.0,
        })),
        "odd": survey.odd.iter().map(|odd| json!({ "path": odd.path, "why": odd.why })).collect::<Vec<_>>(),
        "kept": survey.kept.iter().map(|(path, bytes)| json!({ "path": path, "bytes": bytes }))
            .collect::<Vec<_>>(),
        "opening": opening(&survey.opening),
    })
}

fn open_end(to: LogOffset) -> Option<u64> {
    Some(to.0).filter(|to| *to != u64::MAX)
}

fn holder(holder: Holder) -> Value {
    match holder {
        Holder::Nobody => json!({ "held": false }),
        Holder::Held { pid } => json!({ "held": true, "pid": pid }),
        _ => json!({ "held": null }),
    }
}

fn holds(holds: &Holds) -> Value {
    match holds {
        Holds::Records { first_stored } => {
            json!({ "what": "records", "first_stored": first_stored.map(|stored| stored.0) })
        }
        Holds::Blank => json!({ "what": "blank" }),
        Holds::Nothing => json!({ "what": "nothing" }),
        Holds::Unreadable(damage) => json!({ "what": "unreadable", "why": damage.to_string() }),
        _ => json!({ "what": "gone" }),
    }
}

fn opening(opening: &Opening) -> Value {
    match opening {
        Opening::Held => json!({ "answer": "locked" }),
        Opening::Opens(plan) => json!({ "answer": "opens", "recovery": recovery(plan) }),
        Opening::Refused { why, first_broken } => json!({
            "answer": "refused",
            "why": why.to_string(),
            "first_broken": first_broken.as_deref().map(recovery),
        }),
        _ => json!({ "answer": "unknown" }),
    }
}

fn recovery(plan: &Recovery) -> Value {
    json!({
        "clean_shutdown": plan.clean_shutdown,
        "foreign_writer": plan.foreign_writer,
        "scanned_from": plan.scanned_from.0,
        "records": plan.records,
        "log_end": plan.log_end.0,
        "rewritten_bytes": plan.rewritten_bytes,
        "removed_segments": plan.removed_segments,
        "lifted": plan.lifted.iter().map(|part| json!([part.from.0, part.to.0])).collect::<Vec<_>>(),
        "derive_from": plan.derive_from.map(|from| from.0),
        "cuts": plan.cuts.iter().map(|cut| json!({
            "from": cut.from.0,
            "to": cut.to.0,
            "damage": cut.damage,
            "why": place(&cut.why),
        })).collect::<Vec<_>>(),
        "queues_moved_back": plan.queues_moved_back.iter().map(|moved| json!({
            "topic": moved.topic,
            "queue": moved.queue_id,
            "was": moved.was.0,
            "is": moved.is.0,
        })).collect::<Vec<_>>(),
        "side_damage": plan.side_damage.iter().map(place).collect::<Vec<_>>(),
    })
}

fn place(corruption: &Corruption) -> Value {
    json!({ "path": corruption.path, "at": corruption.at.0, "what": corruption.what.to_string() })
}
