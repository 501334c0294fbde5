//! What may befall a bus between its base and now, and the history rule of the validator that each
//! of it breaks.

use serde_json::{Map, Value, json};

use super::mutations::{Mutation, When::WithBase, lease};
use super::scene::Scene;

/// The claims of somebody else than codex-1, live ones first.
const OTHERS: [&str; 3] =
    ["_bus/claims/QUEUE-002.json", "_bus/claims/QUEUE-005.json", "_bus/claims/QUEUE-004.json"];

/// What breaks the history rules where the claims' refs can be read.
pub(crate) const REWRITINGS: &[Mutation] = &[
    ("append-only", WithBase, edited_line),
    ("append-only", WithBase, dropped_line),
    ("append-only", WithBase, moved_line),
    ("append-only", WithBase, cut_file),
    ("append-only", WithBase, lost_file),
    ("append-only", WithBase, grown_batch),
    ("record-gone", WithBase, record_gone),
    ("duplicate-claim", WithBase, taken_without_a_word),
    ("duplicate-claim", WithBase, taken_under_the_same_name),
    ("claim-rollback", WithBase, rolled_back),
    ("claim-rollback", WithBase, woken_up),
    ("handover-forged", WithBase, |scene| handed_over(scene, 0)),
    ("duplicate-claim", WithBase, finished_by_another),
    ("handover-unproved", WithBase, |scene| handed_over(scene, 1)),
    ("plan-regression", WithBase, plan_regression),
    ("path-leased", WithBase, path_leased),
    ("path-unleased", WithBase, |scene| changed(scene, "hot/")),
    ("tampering", WithBase, foreign_line),
    ("tampering", WithBase, foreign_claim),
    ("tampering", WithBase, foreign_receipt),
    ("receipt-changed", WithBase, rewritten_receipt),
    ("missing-receipt", WithBase, dropped_receipt),
];

fn path_leased(scene: &mut Scene<'_>) {
    let scope = *scene.dice.pick(&["src/**", "**/*.rs", "{src,docs}/"]);
    lease(scene, "codex-2", json!([scope]));
    changed(scene, "src/");
}

/// A file of the repository that is new.
fn changed(scene: &mut Scene<'_>, folder: &str) {
    let path = format!("{folder}{}.rs", scene.dice.below(1000));
    scene.write(&path, "x\n");
}

fn edited_line(scene: &mut Scene<'_>) {
    let path = scene.lines_path();
    let mut lines = scene.lines(&path);
    let number = scene.dice.below(lines.len());
    let edited = match scene.dice.below(3) {
        0 => lines[number].replacen('{', "{\"new\":1,", 1),
        1 => lines[number].replace(':', ": "),
        _ => lines[number].clone() + " ",
    };
    lines[number] = edited;
    scene.write_lines(&path, &lines);
}

fn dropped_line(scene: &mut Scene<'_>) {
    let path = scene.lines_path();
    let mut lines = scene.lines(&path);
    let number = scene.dice.below(lines.len());
    lines.remove(number);
    scene.write_lines(&path, &lines);
}

fn moved_line(scene: &mut Scene<'_>) {
    let path = scene.path("_bus/", "1.jsonl");
    let mut lines = scene.lines(&path);
    let from = scene.dice.below(lines.len());
    let line = lines.remove(from);
    let to = (from + 1 + scene.dice.below(lines.len())) % (lines.len() + 1);
    lines.insert(to, line);
    scene.write_lines(&path, &lines);
}

fn cut_file(scene: &mut Scene<'_>) {
    let path = scene.lines_path();
    let text = scene.text(&path);
    let length = scene.dice.below(text.len() - 1);
    scene.write(&path, &text[..length]);
}

fn lost_file(scene: &mut Scene<'_>) {
    let path = scene.lines_path();
    scene.remove(&path);
}

fn grown_batch(scene: &mut Scene<'_>) {
    let folder = *scene.dice.pick(&["_bus/events/", "_bus/messages/"]);
    let path = scene.paths(folder, "").into_iter().find(|path| path.contains('@')).unwrap();
    let mut lines = scene.lines(&path);
    let place = scene.dice.below(lines.len() + 1);
    let line = if scene.dice.once_in(2) {
        lines[0].replace("\"id\"", "\"old_id\"")
    } else {
        String::new()
    };
    lines.insert(place, line);
    scene.write_lines(&path, &lines);
}

fn record_gone(scene: &mut Scene<'_>) {
    let kind = *scene.dice.pick(&["_bus/claims/", "_bus/assignments/", "_plans/", "queue/"]);
    let path = scene.path(kind, "");
    scene.remove(&path);
}

fn live_claim(scene: &mut Scene<'_>) -> String {
    scene.claim_with(&["\"active\"", "\"paused\""])
}

fn take(object: &mut Map<String, Value>, agent: &str, revisions: u64) {
    let revision = object["revision"].as_u64().unwrap();
    object.insert("agent_id".to_owned(), json!(agent));
    object.insert("branch".to_owned(), json!(format!("agent/{agent}/x")));
    object.insert("revision".to_owned(), json!(revision + revisions));
}

fn taken_without_a_word(scene: &mut Scene<'_>) {
    let path = live_claim(scene);
    let more = scene.dice.throw() % 3;
    let named = scene.dice.once_in(2);
    scene.edit(&path, |object| {
        take(object, "thief", more);
        object.remove("lineage");
        if named {
            drop(object.insert("claim_id".to_owned(), json!("mine")))
        } else {
            drop(object.remove("claim_id"))
        }
    });
}

fn taken_under_the_same_name(scene: &mut Scene<'_>) {
    let path = live_claim(scene);
    let more = scene.dice.throw() % 3;
    scene.edit(&path, |object| take(object, "thief", more));
}

fn rolled_back(scene: &mut Scene<'_>) {
    let path = scene.path("_bus/claims/", "");
    let notes = scene.dice.once_in(2);
    scene.edit(&path, |object| {
        let revision = object["revision"].as_u64().unwrap();
        object.insert("revision".to_owned(), json!(revision - 1));
        notes.then(|| object.insert("notes".to_owned(), json!("back")));
    });
}

fn woken_up(scene: &mut Scene<'_>) {
    let path = scene.claim_with(&["\"status\": \"done\"", "\"status\": \"released\""]);
    let status = *scene.dice.pick(&["active", "paused"]);
    scene.edit(&path, |object| {
        let revision = object["revision"].as_u64().unwrap();
        object.insert("revision".to_owned(), json!(revision + 1));
        object.insert("status".to_owned(), json!(status));
        object.remove("released_at");
    });
}

fn handed_over(scene: &mut Scene<'_>, revisions: u64) {
    let path = live_claim(scene);
    scene.edit(&path, |object| {
        let past = json!({"agent_id": object["agent_id"], "at": "2026-03-01T12:00:00Z", "claim_id": object["claim_id"], "ended": "reclaimed"});
        object.entry("lineage").or_insert(json!([])).as_array_mut().unwrap().push(past);
        object.insert("claim_id".to_owned(), json!("mine"));
        take(object, "thief", revisions);
    });
}

fn finished_by_another(scene: &mut Scene<'_>) {
    let path = scene.claim_with(&["\"status\": \"done\"", "\"status\": \"released\""]);
    scene.edit(&path, |object| take(object, "thief", 1));
}

fn plan_regression(scene: &mut Scene<'_>) {
    let path = scene.path("_plans/", ".json");
    let mut plan = scene.object(&path);
    let word = *scene.dice.pick(&["queued", "in_progress", "blocked", "pending"]);
    match scene.dice.below(3) {
        0 => plan["steps"][0]["status"] = json!(word),
        1 => drop(plan["steps"].as_array_mut().unwrap().remove(0)),
        _ => plan["steps"][0]["id"] = json!("S9"),
    }
    if scene.dice.once_in(3) {
        scene.remove(&path);
        let lower = path.to_ascii_lowercase();
        return scene.write_object(&lower, &plan);
    }
    scene.write_object(&path, &plan);
}

fn foreign_line(scene: &mut Scene<'_>) {
    let path = scene.lines_path();
    let agent = *scene.dice.pick(&["codex-2", "claude-1", "codex"]);
    let mut lines = scene.lines(&path);
    let mut object = scene.line(&path);
    object.remove("id");
    object.insert("agent_id".to_owned(), json!(agent));
    object.insert("from".to_owned(), json!(agent));
    lines.push(serde_json::to_string(&object).unwrap());
    scene.write_lines(&path, &lines);
}

fn foreign_claim(scene: &mut Scene<'_>) {
    let path = *scene.dice.pick(&OTHERS);
    if scene.dice.once_in(3) {
        let text = scene.text(path).replace(&path[12..21], "QUEUE-099");
        return scene.write("_bus/claims/QUEUE-099.json", text);
    }
    let (field, value) = scene
        .dice
        .pick(&[("notes", "mine"), ("status", "done"), ("branch", "agent/codex-2/y")])
        .to_owned();
    scene.edit(path, |object| {
        let agent = object["agent_id"].as_str().unwrap().to_owned();
        take(object, &agent, 1);
        object.insert(field.to_owned(), json!(value));
    });
}

fn foreign_receipt(scene: &mut Scene<'_>) {
    let path = "_report/agent/codex-2/result.json";
    if scene.dice.once_in(2) {
        scene.write(path, "[]\n");
    } else {
        scene.remove(path);
        scene.meant = scene.paths("_plans/", "");
    }
}

/// The step S1 of a plan, whose receipt has a sum.
fn edit_proof(scene: &mut Scene<'_>, change: impl FnOnce(&mut Value)) {
    let path = scene.path("_plans/", ".json");
    let mut plan = scene.object(&path);
    change(&mut plan["steps"][0]);
    scene.write_object(&path, &plan);
}

fn rewritten_receipt(scene: &mut Scene<'_>) {
    const TESTS: &str = "_report/agent/codex-1/tests.log";
    // Of `better` and a newline.
    let sum = "4540489feedfe4068817b8f84b51a1b8eac3accee59af1b1a0e433fc8943d22c";
    scene.write(TESTS, "better\n");
    let sums = if scene.dice.once_in(2) { json!({ TESTS: sum }) } else { json!({}) };
    edit_proof(scene, |step| step["receipt_hashes"] = sums);
    scene.meant = scene.paths("_plans/", "");
}

fn dropped_receipt(scene: &mut Scene<'_>) {
    edit_proof(scene, |step| {
        step["receipts"] = json!(["queue/001-item.md"]);
        step.as_object_mut().unwrap().remove("receipt_hashes");
    });
}
