//! Which rule each fault of a record breaks.

use super::finding::{Findings, Place};
use super::rule::Rule;
use crate::record::{Fault, Places, Position};

/// The rule that a fault breaks; in a file of lines some have another name.
const fn rule_of(fault: &Fault, in_lines: bool) -> Rule {
    match fault {
        Fault::CutOff { .. } if in_lines => Rule::TornLine,
        Fault::Syntax { .. } | Fault::CutOff { .. } => Rule::InvalidJson,
        Fault::InvalidUtf8 { .. } => Rule::InvalidUtf8,
        Fault::ByteOrderMark => Rule::ByteOrderMark,
        Fault::Nul { .. } => Rule::NulByte,
        Fault::DuplicateKey { .. } => Rule::DuplicateKey,
        Fault::SecondValue { .. } => Rule::TwoObjects,
        Fault::NotAnObject => Rule::NotAnObject,
        Fault::TooLong { .. } if in_lines => Rule::LineTooLong,
        Fault::TooLong { .. } => Rule::RecordTooLong,
        Fault::MergeConflict { .. } => Rule::MergeConflict,
        Fault::Missing(_) => Rule::MissingField,
        Fault::Mistyped { .. } => Rule::WrongType,
        Fault::UnknownWord { .. } => Rule::UnknownValue,
        Fault::Id { .. } => Rule::BadId,
        Fault::Time { .. } => Rule::BadTimestamp,
        Fault::Inside { fault, .. } | Fault::Within { fault, .. } => rule_of(fault, in_lines),
        Fault::WrongTask { .. } | Fault::WrongPlan { .. } | Fault::WrongLease { .. } => {
            Rule::WrongFileName
        }
        Fault::BadItem { .. } => Rule::BadQueueItem,
    }
}

/// Adds the faults of the record file `path`.
pub(super) fn in_record(findings: &mut Findings, path: &str, bytes: &[u8], faults: &[Fault]) {
    let places = Places::of(bytes);
    for fault in faults {
        // A record as a whole is meant if no line is.
        let whole = matches!(fault, Fault::TooLong { .. });
        let place = (!whole).then(|| Place::from(fault.position_in(&places)));
        findings.add(rule_of(fault, false), path, place, || format!("{fault:#}"));
    }
}

/// Adds the faults of a line, which stands at `place` of the file `path`.
pub(super) fn in_line(
    findings: &mut Findings,
    path: &str,
    place: Place,
    line: &[u8],
    faults: &[Fault],
) {
    let places = Places::of(line);
    for fault in faults {
        let whole = matches!(
            fault,
            Fault::TooLong { .. } | Fault::Missing(_) | Fault::MergeConflict { .. }
        );
        let Position { column, .. } = fault.position_in(&places);
        let place = Place { column: (!whole).then_some(column), ..place };
        findings.add(rule_of(fault, true), path, Some(place), || format!("{fault:#}"));
    }
}
