//! What may befall a bus, and the rule of the validator that each of it breaks: in any file, line
//! and field that it can befall.

use serde_json::{Map, Value, json};

use super::dice::Dice;
use super::scene::Scene;

/// When something can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    WithBase,
    WithoutBase,
    PerAgent,
}
use When::{Always, PerAgent, WithoutBase};

/// The rule, when it tells, and what breaks it.
pub(crate) type Mutation = (&'static str, When, fn(&mut Scene<'_>));

/// What breaks the static rules.
pub(crate) const STATIC: &[Mutation] = &[
    ("not-a-file", Always, not_a_file),
    ("wrong-file-name", Always, wrong_file_name),
    ("wrong-file-name", Always, batch_without_a_name),
    ("misplaced-record", Always, misplaced_record),
    ("duplicate-claim-file", Always, duplicate_claim_file),
    ("duplicate-queue-item", Always, duplicate_queue_item),
    ("invalid-utf8", Always, |scene| spoil(scene, |dice, text| insert(dice, text, b"\xff"))),
    ("byte-order-mark", Always, |scene| {
        spoil(scene, |_, text| [b"\xef\xbb\xbf", text.as_bytes()].concat())
    }),
    ("nul-byte", Always, |scene| spoil(scene, |dice, text| insert(dice, text, b"\0"))),
    ("merge-conflict", Always, merge_conflict),
    ("line-too-long", Always, line_too_long),
    ("record-too-long", Always, record_too_long),
    ("no-final-newline", Always, no_final_newline),
    ("torn-line", Always, torn_line),
    ("invalid-json", Always, |scene| spoil(scene, invalid_json)),
    ("not-an-object", Always, |scene| spoil(scene, not_an_object)),
    ("two-objects", Always, |scene| spoil(scene, two_objects)),
    ("duplicate-key", Always, |scene| spoil(scene, duplicate_key)),
    ("missing-field", Always, missing_field),
    ("missing-field", Always, step_without_field),
    ("wrong-type", Always, wrong_type),
    ("unknown-value", Always, unknown_value),
    ("bad-id", Always, bad_id),
    ("bad-timestamp", Always, bad_timestamp),
    ("released-before-claimed", Always, released_before_claimed),
    ("wrong-branch", Always, wrong_branch),
    ("id-clash", Always, id_clash),
    ("foreign-event", PerAgent, foreign_event),
    ("wrong-channel", Always, wrong_channel),
    ("bad-queue-item", Always, bad_queue_item),
    ("doubtful-queue-item", Always, doubtful_queue_item),
    ("queue-cycle", Always, queue_cycle),
    ("bad-config", Always, bad_config),
    ("bad-pattern", Always, bad_pattern),
    ("lease-overlap", Always, lease_overlap),
    ("missing-plan", Always, missing_plan),
    ("missing-plan", WithoutBase, lost_plan),
    ("duplicate-step", Always, |scene| {
        edit_step(scene, |_, steps| steps[1]["id"] = steps[0]["id"].clone())
    }),
    ("step-without-receipt", Always, |scene| {
        edit_step(scene, |_, steps| steps[0]["receipts"] = json!([]))
    }),
    ("missing-receipt", Always, missing_receipt),
    ("missing-receipt", Always, lost_receipt),
    ("undated-plan", Always, undated_plan),
    ("two-steps-in-progress", Always, two_steps_in_progress),
    ("receipt-changed", Always, |scene| {
        edit_step(scene, |dice, steps| steps[0]["receipt_hashes"][TESTS] = sum(dice))
    }),
    ("receipt-changed", Always, changed_receipt),
    ("unlisted-receipt", Always, |scene| {
        edit_step(scene, |dice, steps| steps[dice.below(2)]["receipt_hashes"]["x"] = sum(dice))
    }),
    ("unlisted-receipt", Always, |scene| {
        edit_step(scene, |_, steps| steps[0]["receipts"] = json!(["queue/001-item.md"]))
    }),
];

/// A receipt that the plans name, with its sum.
const TESTS: &str = "_report/agent/codex-1/tests.log";

/// Writes a lease of `owner` on some paths.
pub(crate) fn lease(scene: &mut Scene<'_>, owner: &str, scope: Value) {
    let id = format!("L-{owner}-{}", scene.dice.below(1000));
    let lease = json!({
        "deny": [],
        "expires_at": "2026-03-01T12:50:00Z",
        "heartbeat": "2026-03-01T12:00:00Z",
        "lock_id": id,
        "mode": "exclusive",
        "objective": "x",
        "owner": owner,
        "revision": 1,
        "scope": scope,
        "start_time": "2026-03-01T12:00:00Z",
    });
    scene.write_object(&format!("_bus/locks/{id}.json"), lease.as_object().unwrap());
}

fn bad_pattern(scene: &mut Scene<'_>) {
    let pattern = *scene.dice.pick(&["", "../x", "a[", "!x", "a/***", "{a", ".git/x"]);
    lease(scene, "codex-1", json!(["src/**", pattern]));
}

fn lease_overlap(scene: &mut Scene<'_>) {
    let scopes = [("src/**", "src/a"), ("*.toml", "[A-D]*"), ("**/x", "docs/"), ("{a,b}/c", "?/*")];
    let (one, two) = *scene.dice.pick(&scopes);
    lease(scene, "codex-1", json!([one]));
    lease(scene, "codex-2", json!(["other/", two]));
}

fn not_a_file(scene: &mut Scene<'_>) {
    let path = scene.path("", "");
    scene.remove(&path);
    let place = scene.repo.path(&path);
    if scene.dice.once_in(2) {
        std::fs::create_dir(place).unwrap();
    } else {
        link(scene.repo.path("_bus/README.md"), place);
    }
    if path.ends_with(".log") || path.ends_with("result.json") {
        // A receipt is no file of the bus; what stands for it does not count.
        scene.restore();
        not_a_file(scene);
    }
}

#[cfg(unix)]
fn link(to: std::path::PathBuf, place: std::path::PathBuf) {
    std::os::unix::fs::symlink(to, place).unwrap();
}

#[cfg(not(unix))]
fn link(_: std::path::PathBuf, place: std::path::PathBuf) {
    std::fs::create_dir(place).unwrap();
}

fn wrong_file_name(scene: &mut Scene<'_>) {
    let path = scene.record_path();
    if scene.dice.once_in(2) {
        let end = if path.ends_with(".plan.json") { ".plan.json" } else { ".json" };
        let to = path.replace(end, &format!("-x{end}"));
        scene.rename(&path, &to);
        if !scene.has_base {
            scene.meant = scene.paths("_bus/claims/", "");
        }
    } else {
        let field = if path.starts_with("_plans") { "plan_id" } else { "task_id" };
        scene.edit(&path, |object| drop(object.insert(field.to_owned(), json!("Other"))));
    }
}

fn batch_without_a_name(scene: &mut Scene<'_>) {
    let folder = *scene.dice.pick(&["events", "messages"]);
    let name = *scene.dice.pick(&[
        "codex-1@",
        "codex-1@0123456789a",
        "codex-1@0123456789AB",
        "@0123456789ab",
        "a@b@0123456789ab",
    ]);
    scene.write(&format!("_bus/{folder}/{name}.jsonl"), "");
}

fn misplaced_record(scene: &mut Scene<'_>) {
    let folders = [
        "_bus/claims/",
        "_bus/assignments/",
        "_bus/events/",
        "_bus/messages/",
        "_plans/",
        "queue/",
    ];
    let begin = *scene.dice.pick(&folders);
    let path = scene.path(begin, "");
    let folder = *scene.dice.pick(&["old", "Archive", "a/b/c"]);
    let to = path.replace(begin, &format!("{begin}{folder}/"));
    if scene.dice.once_in(2) {
        scene.rename(&path, &to)
    } else {
        scene.write(&to, scene.text(&path))
    }
    if begin == "_plans/" {
        // Of claims whose plan is no more where readers look.
        scene.meant = scene.paths("_bus/claims/", "");
    }
    scene.meant.push(path);
}

fn duplicate_claim_file(scene: &mut Scene<'_>) {
    let path = scene.path("_bus/claims/", ".json");
    let name = path.rsplit('/').next().unwrap();
    let name = if scene.dice.once_in(2) {
        name.to_ascii_lowercase()
    } else {
        name.to_ascii_uppercase().replace("JSON", "json")
    };
    let folder = if path.ends_with(&name) { "_bus/claims/x/" } else { "_bus/claims/" };
    scene.write(&format!("{folder}{name}"), scene.text(&path));
    // Without a base neither is the older one.
    if !scene.has_base {
        scene.meant.push(path);
    }
}

fn duplicate_queue_item(scene: &mut Scene<'_>) {
    let path = scene.path("queue/", ".md");
    let word = *scene.dice.pick(&["aside", "zebra"]);
    let to = path.replace("item", word);
    scene.write(&to, scene.text(&path));
    if !scene.has_base {
        scene.meant.push(path);
    }
}

/// Changes the bytes of any JSON.
fn spoil(scene: &mut Scene<'_>, change: impl FnOnce(&mut Dice, String) -> Vec<u8>) {
    let path = if scene.dice.once_in(2) { scene.lines_path() } else { scene.record_path() };
    scene.edit_bytes(&path, change);
}

fn insert(dice: &mut Dice, text: String, bytes: &[u8]) -> Vec<u8> {
    let mut text = text.into_bytes();
    let place = dice.below(text.len() + 1);
    text.splice(place..place, bytes.iter().copied());
    text
}

fn merge_conflict(scene: &mut Scene<'_>) {
    let kind = *scene.dice.pick(&[
        "_bus/claims/",
        "_plans/",
        "queue/",
        "_bus/events/",
        "_bus/messages/",
        "_report/agent/codex-1/e",
    ]);
    let path = scene.path(kind, "");
    let mut lines = scene.lines(&path);
    let (from, to) = (scene.dice.below(lines.len()), lines.len());
    lines.insert(to, ">>>>>>> other".to_owned());
    lines.insert(to, "=======".to_owned());
    lines.insert(from, "<<<<<<< HEAD".to_owned());
    scene.write_lines(&path, &lines);
}

fn line_too_long(scene: &mut Scene<'_>) {
    let path = scene.lines_path();
    let length = 65_500 + scene.dice.below(200_000);
    scene.edit_line(&path, |object| {
        drop(object.insert("summary".to_owned(), Value::from("x".repeat(length))))
    });
}

fn record_too_long(scene: &mut Scene<'_>) {
    let path =
        if scene.dice.once_in(4) { "_bus/config.toml".to_owned() } else { scene.record_path() };
    let text = scene.text(&path) + &" ".repeat(1024 * 1024) + "\n";
    scene.write(&path, text);
}

fn no_final_newline(scene: &mut Scene<'_>) {
    let path = if scene.dice.once_in(2) { scene.lines_path() } else { scene.record_path() };
    let mut text = scene.text(&path);
    if path.ends_with(".jsonl") && scene.dice.once_in(2) {
        text =
            text.lines().map(|line| format!("{line}\n")).collect::<String>() + "{\"agent_id\":\"co";
    }
    scene.write(&path, text.trim_end());
}

fn torn_line(scene: &mut Scene<'_>) {
    let path = scene.lines_path();
    scene
        .edit_bytes(&path, |dice, line| line.as_bytes()[..1 + dice.below(line.len() - 1)].to_vec());
}

fn invalid_json(dice: &mut Dice, text: String) -> Vec<u8> {
    let text = match dice.below(4) {
        0 => text.replacen(':', "=", 1),
        1 => format!("{},}}", text.trim_end_matches('}')),
        2 => text.replacen('"', "'", 2),
        _ => text.replacen('{', "{'", 1),
    };
    text.into_bytes()
}

fn not_an_object(dice: &mut Dice, text: String) -> Vec<u8> {
    let list = format!("[{text}]");
    (*dice.pick(&["[]", "1", "null", "\"x\"", "true", "-1.5e3", list.as_str()])).as_bytes().to_vec()
}

fn two_objects(dice: &mut Dice, text: String) -> Vec<u8> {
    let more = (*dice.pick(&["{}", " {}", "x", "]", "}", ",", text.as_str()])).to_owned();
    (text + &more).into_bytes()
}

fn duplicate_key(dice: &mut Dice, text: String) -> Vec<u8> {
    let first = text.split('"').nth(1).unwrap().to_owned();
    let again = format!("{{\"{first}\":1,");
    let begin = *dice.pick(&["{\"k\":1,\"k\":2,", "{\"n\":[{\"k\":1,\"\\u006b\":1}],", &again]);
    text.replacen('{', begin, 1).into_bytes()
}

/// The fields that a file must have, those with times last, and how many of those there are.
fn required(path: &str) -> &'static [&'static str] {
    match path.split('/').collect::<Vec<_>>().as_slice() {
        ["_bus", "claims", _] => &["task_id", "agent_id", "branch", "status", "claimed_at"],
        ["_bus", "assignments", _] => &["task_id", "engineer", "manager", "assigned_at"],
        ["_bus", "events", _] => &["agent_id", "event", "summary", "ts"],
        ["_bus", "messages", _] => &["from", "type", "summary", "ts"],
        ["_plans", _] => &["plan_id", "actor", "summary", "status", "created"],
        _ => &["agent_id", "event", "reason", "ts"],
    }
}

fn any_path(scene: &mut Scene<'_>) -> String {
    if scene.dice.once_in(2) { scene.lines_path() } else { scene.record_path() }
}

fn missing_field(scene: &mut Scene<'_>) {
    let path = any_path(scene);
    let fields = required(&path);
    let number = scene.dice.below(fields.len());
    let how = scene.dice.below(if number + 1 == fields.len() { 2 } else { 3 });
    scene.edit_any(&path, |object| match how {
        0 => drop(object.remove(fields[number])),
        1 => drop(object.insert(fields[number].to_owned(), Value::Null)),
        _ => drop(object.insert(fields[number].to_owned(), json!(""))),
    });
}

fn edit_step(scene: &mut Scene<'_>, change: impl FnOnce(&mut Dice, &mut Value)) {
    let path = scene.path("_plans/", ".json");
    let mut object = scene.object(&path);
    change(&mut scene.dice, object.get_mut("steps").unwrap());
    scene.write_object(&path, &object);
}

fn step_without_field(scene: &mut Scene<'_>) {
    edit_step(scene, |dice, steps| {
        let number = dice.below(2);
        let field = *dice.pick(&["id", "title", "status"]);
        steps[number].as_object_mut().unwrap().remove(field);
    });
}

fn wrong_type(scene: &mut Scene<'_>) {
    let path = any_path(scene);
    let value = scene.dice.pick(&[json!(7), json!({}), json!(true), json!([1])]).clone();
    let fields = required(&path);
    let mut field = *scene.dice.pick(fields);
    let mut value = value;
    if path.starts_with("_bus/claims") && scene.dice.once_in(2) {
        let odd = [
            ("revision", json!("3")),
            ("revision", json!(-1)),
            ("confirmed", json!("no")),
            ("lineage", json!({})),
        ];
        (field, value) = scene.dice.pick(&odd).clone();
    }
    if path.starts_with("_bus/events") && scene.dice.once_in(2) {
        (field, value) = scene
            .dice
            .pick(&[("receipts", json!("x")), ("receipts", json!([1])), ("pr", json!([]))])
            .clone();
    }
    scene.edit_any(&path, |object| drop(object.insert(field.to_owned(), value)));
}

fn unknown_value(scene: &mut Scene<'_>) {
    let word = scene.dice.pick(&[json!("urgent"), json!("Done"), json!("active ")]).clone();
    match scene.dice.below(4) {
        0 => {
            let path = scene.path("_bus/events/", "");
            scene.edit_line(&path, |object| drop(object.insert("severity".to_owned(), word)));
        }
        1 => edit_step(scene, |dice, steps| steps[dice.below(2)]["status"] = word),
        2 => {
            scene.edit("_bus/claims/QUEUE-005.json", |object| object["lineage"][0]["ended"] = word)
        }
        _ => {
            let begin = *scene.dice.pick(&["_bus/claims/", "_plans/"]);
            let path = scene.path(begin, "");
            scene.edit(&path, |object| drop(object.insert("status".to_owned(), word)));
        }
    }
}

fn bad_id(scene: &mut Scene<'_>) {
    let path = any_path(scene);
    let long = "x".repeat(101);
    let ids = [
        "../x",
        "a..b",
        ".x",
        "-x",
        "x.",
        "x.lock",
        "con",
        "COM1.txt",
        "a b",
        "a/b",
        "ä",
        "a\u{202e}b",
        long.as_str(),
    ];
    let mut id = *scene.dice.pick(&ids);
    let fields: Vec<&str> = required(&path).iter().copied().filter(|field| is_id(field)).collect();
    let mut field = *scene.dice.pick(&fields);
    if scene.dice.once_in(4) && !path.starts_with("_plans") {
        (field, id) = ("task_id", *scene.dice.pick(&["agent-x", "AGENT-7"]));
    }
    scene.edit_any(&path, |object| drop(object.insert(field.to_owned(), json!(id))));
}

fn is_id(field: &str) -> bool {
    ["task_id", "agent_id", "plan_id", "engineer", "manager", "event", "from", "type"]
        .contains(&field)
}

fn bad_timestamp(scene: &mut Scene<'_>) {
    let path = any_path(scene);
    let times = [
        "2026-02-30T12:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01T12:00:00",
        "2026-03-01 12:00:00Z",
        "2026-03-01T12:00:00+02:00",
        "2026-03-01T12:00Z",
        "yesterday",
        "",
        "2025-02-29T00:00:00Z",
    ];
    let time = *scene.dice.pick(&times);
    let field = *required(&path).last().unwrap();
    scene.edit_any(&path, |object| drop(object.insert(field.to_owned(), json!(time))));
}

fn released_before_claimed(scene: &mut Scene<'_>) {
    let path = scene.path("_bus/claims/", "");
    scene.edit(&path, |object| {
        drop(object.insert("released_at".to_owned(), json!("2026-03-01T11:59:59Z")))
    });
}

fn wrong_branch(scene: &mut Scene<'_>) {
    let path = scene.path("_bus/claims/", "");
    let branches = [
        "main",
        "agent/other/x",
        "agent/AGENT/",
        "agent/AGENT",
        "x/agent/AGENT/y",
        "agent//x",
        "agent/AGENT-1/x",
    ];
    let branch = *scene.dice.pick(&branches);
    scene.edit(&path, |object| {
        let branch = branch.replace("AGENT", object["agent_id"].as_str().unwrap());
        object.insert("branch".to_owned(), json!(branch));
    });
}

fn id_clash(scene: &mut Scene<'_>) {
    let begin = *scene.dice.pick(&["_bus/events/", "_bus/messages/"]);
    // With a base only files that changed are read.
    let from = scene.path(begin, "");
    let to = if scene.has_base { from.clone() } else { scene.path(begin, "") };
    let id = loop {
        if let Some(id) = scene.line(&from).get("id") {
            break id.clone();
        }
    };
    let mut object: Map<String, Value> = scene.line(&to);
    object.insert("id".to_owned(), id);
    object.insert("summary".to_owned(), json!("something else"));
    let mut lines = scene.lines(&to);
    lines.push(serde_json::to_string(&object).unwrap());
    scene.write_lines(&to, &lines);
    // Without a base neither is the first one.
    if !scene.has_base {
        scene.meant.push(from);
    }
}

fn foreign_event(scene: &mut Scene<'_>) {
    let path = scene.path("_bus/events/", "");
    let name = *scene.dice.pick(&["somebody", "codex-11", "codex"]);
    scene.edit_line(&path, |object| drop(object.insert("agent_id".to_owned(), json!(name))));
}

fn wrong_channel(scene: &mut Scene<'_>) {
    let path = scene.path("_bus/messages/", "");
    let (field, name) = match path.as_str() {
        batch if batch.contains('@') => ("from", "codex-2"),
        inbox if inbox.contains("agent-") => ("to", "codex-1"),
        _ => ("task_id", "QUEUE-002"),
    };
    scene.edit_line(&path, |object| drop(object.insert(field.to_owned(), json!(name))));
}

fn bad_queue_item(scene: &mut Scene<'_>) {
    let path = scene.path("queue/", "");
    match scene.dice.below(5) {
        0 => scene.write(&path, "Goal: x\n"),
        3 => scene.write(&path, "# Task: x\nAfter: the lexer's\n"),
        1 => scene.write(&path, ""),
        2 => scene.write("queue/12-x.md", "# Task: x\n"),
        _ => scene.write("queue/012.md", "# Task: x\n"),
    }
}

fn doubtful_queue_item(scene: &mut Scene<'_>) {
    let path = scene.path("queue/", "");
    let lines = [
        "Priority: soon",
        "Plan: a/b",
        "**After**: T-1",
        "- after: T-1",
        "Words.\nAfter: T-1",
        "Goal: y\n  After: T-1",
    ];
    let line = *scene.dice.pick(&lines);
    scene.write(&path, format!("# Task: x\n{line}\n"));
}

fn queue_cycle(scene: &mut Scene<'_>) {
    let path = scene.path("queue/", "");
    let task = path.trim_start_matches("queue/").split('-').next().unwrap();
    let between = *scene.dice.pick(&["", "\n", "Goal: y\n"]);
    scene.write(&path, format!("# Task: x\n{between}After: T-1, queue-{task}\n"));
}

fn bad_config(scene: &mut Scene<'_>) {
    let path = "_bus/config.toml";
    let lines = [
        "require_assignmen = true\n",
        "require_assignment = 1\n",
        "x\n",
        "managers = [\"a/b\"]\n",
        "[events]\n",
        "= 1\n",
    ];
    let line = *scene.dice.pick(&lines);
    let text = line.to_owned() + &scene.text(path);
    scene.write(path, text);
}

fn missing_plan(scene: &mut Scene<'_>) {
    let path = scene.path("_bus/claims/", "");
    scene.edit(&path, |object| drop(object.insert("plan_id".to_owned(), json!("P-3"))));
}

fn lost_plan(scene: &mut Scene<'_>) {
    let path = scene.path("_plans/", ".json");
    scene.remove(&path);
    scene.meant = scene.paths("_bus/claims/", "");
}

fn missing_receipt(scene: &mut Scene<'_>) {
    let receipts = [
        "_report/gone.log",
        "../main/queue/001-item.md",
        "/etc/hostname",
        "queue",
        "",
        "_report/agent/codex-1/tests.log/x",
    ];
    let receipt = *scene.dice.pick(&receipts);
    edit_step(scene, |_, steps| steps[0]["receipts"] = json!(["queue/001-item.md", receipt]));
}

fn lost_receipt(scene: &mut Scene<'_>) {
    scene.remove(TESTS);
    scene.meant = scene.paths("_plans/", "");
}

fn changed_receipt(scene: &mut Scene<'_>) {
    let text = *scene.dice.pick(&["", "ok", "ok\n\n", "OK\n", "ok\r\n", "better\n"]);
    scene.write(TESTS, text);
    scene.meant = scene.paths("_plans/", "");
}

fn undated_plan(scene: &mut Scene<'_>) {
    let id =
        *scene.dice.pick(&["parser", "2026-02-30-x", "2026-03-01", "2026-3-1-x", "x-2026-03-01"]);
    let mut object = scene.object(&scene.paths("_plans/", ".json")[0].clone());
    object.insert("plan_id".to_owned(), json!(id));
    scene.write_object(&format!("_plans/{id}.plan.json"), &object);
}

fn two_steps_in_progress(scene: &mut Scene<'_>) {
    edit_step(scene, |_, steps| {
        let step = |id: &str| json!({"id": id, "status": "in_progress", "title": "more"});
        steps.as_array_mut().unwrap().extend([step("S3"), step("S4")]);
    });
}

/// A SHA-256 of nothing that there is.
fn sum(dice: &mut Dice) -> Value {
    json!(dice.pick(&["0", "a", "9"]).repeat(64))
}
