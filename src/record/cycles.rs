//! Tasks that wait for one another in a circle, so that none of them can ever begin.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};

use super::TaskId;

/// How far the search has come with a task.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// It is on the path that is being walked.
    OnPath,
    /// All that follows from it is known.
    Left,
}

/// Circles in what waits for what, each task followed by one that it waits for, and the last by the
/// first. Where there are circles that share a task, one of them is named. The same graph gives the
/// same answer.
#[must_use]
pub fn cycles<'a>(after: &BTreeMap<&'a TaskId, &'a [TaskId]>) -> Vec<Vec<&'a TaskId>> {
    let mut marks: HashMap<&TaskId, Mark> = HashMap::new();
    let mut found: Vec<Vec<&TaskId>> = Vec::new();
    for start in after.keys() {
        // By hand: a chain may be longer than the stack is deep.
        let mut path: Vec<(&TaskId, std::slice::Iter<'a, TaskId>)> = Vec::new();
        // Where each task of the path is on it, and for each place how far up the last one is that
        // is in a circle, counted from 1.
        let mut places: HashMap<&TaskId, usize> = HashMap::new();
        let mut circled: Vec<usize> = Vec::new();
        let mut next = Some(*start).filter(|start| !marks.contains_key(start));
        loop {
            if let Some(task) = next.take() {
                marks.insert(task, Mark::OnPath);
                places.insert(task, path.len());
                circled.push(circled.last().copied().unwrap_or_default());
                path.push((task, after.get(task).copied().unwrap_or_default().iter()));
            }
            let Some((task, rest)) = path.last_mut() else { break };
            let task = *task;
            let Some(wanted) = rest.next() else {
                marks.insert(task, Mark::Left);
                path.pop();
                circled.pop();
                continue;
            };
            // In the spelling of its own file.
            let Some((wanted, _)) = after.get_key_value(wanted) else { continue };
            match marks.get(wanted) {
                None => next = Some(*wanted),
                Some(Mark::OnPath) => {
                    let (start, end) = (places[wanted], path.len());
                    if circled[end - 1] <= start {
                        found.push(path[start..].iter().map(|(task, _)| *task).collect());
                        (start..end).for_each(|place| circled[place] = place + 1);
                    }
                }
                Some(Mark::Left) => {}
            }
        }
    }
    found
}

/// How many tasks of a circle are named.
const MAX_NAMED: usize = 10;

/// A circle in words: `A, B, A`; of a long one its first tasks, and how many there are.
#[must_use]
pub fn name_circle(circle: &[impl Borrow<TaskId>]) -> String {
    let names: Vec<&str> =
        circle.iter().take(MAX_NAMED).map(|task| task.borrow().as_str()).collect();
    match circle.first() {
        Some(first) if circle.len() <= MAX_NAMED => {
            format!("{}, {}", names.join(", "), first.borrow())
        }
        _ => format!("{}, … ({} tasks in all)", names.join(", "), circle.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(edges: &[(&str, &str)]) -> Vec<String> {
        let id = |text: &str| TaskId::new(text).unwrap();
        let edges: Vec<(TaskId, Vec<TaskId>)> = edges
            .iter()
            .map(|(task, after)| (id(task), after.split_whitespace().map(id).collect()))
            .collect();
        let graph = edges.iter().map(|(task, after)| (task, after.as_slice())).collect();
        let text = |circle: &Vec<&TaskId>| {
            circle.iter().map(|task| task.as_str()).collect::<Vec<_>>().join(" ")
        };
        cycles(&graph).iter().map(text).collect()
    }

    #[test]
    fn circles_are_found_each_once_and_nothing_else() {
        assert_eq!(found(&[("A", "B C"), ("B", "C"), ("C", "X")]), [""; 0]);
        assert_eq!(found(&[("A", "A")]), ["A"]);
        assert_eq!(
            found(&[("A", "B"), ("B", "C"), ("C", "b"), ("D", "E"), ("E", "D A")]),
            ["B C", "D E"]
        );
        assert_eq!(found(&[("A", "B C"), ("B", "A"), ("C", "A")]), ["A B"]);
    }

    #[test]
    fn of_a_long_circle_the_first_are_named() {
        let circle: Vec<TaskId> =
            (0..50_000).map(|number| TaskId::new(format!("T{number}")).unwrap()).collect();
        assert_eq!(name_circle(&circle[..3]), "T0, T1, T2, T0");
        assert_eq!(
            name_circle(&circle),
            "T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, … (50000 tasks in all)"
        );
    }

    #[test]
    fn tasks_that_wait_for_all_before_them_are_walked_once() {
        let names: Vec<String> = (0..500).map(|number| format!("T{number:04}")).collect();
        let all = names.join(" ");
        let edges: Vec<(&str, &str)> =
            names.iter().map(|name| (name.as_str(), all.as_str())).collect();
        // Each begins with itself or one before: circles of one.
        assert_eq!(found(&edges[..1]), ["T0000"]);
        assert!(found(&edges).len() <= 500);
    }

    #[test]
    fn a_long_chain_is_walked_to_its_end() {
        let chain: Vec<(String, String)> =
            (0..100_000).map(|number| (format!("T{number}"), format!("T{}", number + 1))).collect();
        let mut edges: Vec<(&str, &str)> =
            chain.iter().map(|(task, after)| (task.as_str(), after.as_str())).collect();
        edges.push(("T100000", "T99999"));
        assert_eq!(found(&edges), ["T99999 T100000"]);
    }
}
