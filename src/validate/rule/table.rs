//! The table of rules, as `--list-rules` and `--explain` show it.

use super::Severity::{Error, Warning};
use super::{About, Rule, Severity};

const fn rule(rule: Rule, name: &'static str, severity: Severity, summary: &'static str) -> About {
    About { rule, name, severity, summary, fix: "", bad: "", good: "" }
}

impl About {
    const fn fix(self, fix: &'static str) -> Self {
        Self { fix, ..self }
    }

    const fn bad(self, bad: &'static str) -> Self {
        Self { bad, ..self }
    }

    const fn good(self, good: &'static str) -> Self {
        Self { good, ..self }
    }
}

/// Every rule, at the place of its number.
pub(super) static RULES: [About; 61] = [
    rule(Rule::NotAFile, "not-a-file", Error, "something else in the place of a file or a folder of the bus: a symlink, a submodule, a folder or a file, in the commit or in the worktree")
        .fix("put a regular file or a folder there; `bus` follows no link")
        .bad("_bus/claims/QUEUE-001.json -> ../../elsewhere.json")
        .good("_bus/claims/QUEUE-001.json, a regular file"),
    rule(Rule::AlteredByGit, "altered-by-git", Error, "a file that git changes on its way from the commit to the worktree")
        .fix("take `ident`, `filter` and `working-tree-encoding` off it in `.gitattributes`: what is judged must be what is merged")
        .bad(".gitattributes: _bus/events/*.jsonl ident")
        .good(".gitattributes: _bus/**/*.jsonl text eol=lf merge=union"),
    rule(Rule::WrongFileName, "wrong-file-name", Error, "a file name that differs from the id of the record in it, or that is no batch's: `<agent>@<12 of 0-9 a-z>.jsonl`")
        .fix("give the file the name of the id that the record has; write a batch with `bus export`")
        .bad("_bus/claims/QUEUE-002.json: {\"task_id\": \"QUEUE-001\", …}")
        .good("_bus/claims/QUEUE-001.json: {\"task_id\": \"QUEUE-001\", …}"),
    rule(Rule::MisplacedRecord, "misplaced-record", Error, "a record in a folder that no reader looks at, or under a name that only systems without letter case take for the bus's")
        .fix("move the file up into the folder itself, and spell folders and endings as the bus does")
        .bad("_bus/claims/old/QUEUE-001.json")
        .good("_bus/claims/QUEUE-001.json"),
    rule(Rule::DuplicateClaimFile, "duplicate-claim-file", Error, "two claim files of one task, by case or by folder")
        .fix("keep the file that `bus status` shows, and remove the other")
        .bad("_bus/claims/QUEUE-001.json and _bus/claims/queue-001.json")
        .good("_bus/claims/QUEUE-001.json alone"),
    rule(Rule::DuplicateQueueItem, "duplicate-queue-item", Error, "two queue items with one number, in whatever width")
        .fix("give the later one the next free number")
        .bad("queue/012-parser.md and queue/012-lexer.md")
        .good("queue/012-parser.md and queue/013-lexer.md"),
    rule(Rule::InvalidUtf8, "invalid-utf8", Error, "bytes that are no UTF-8")
        .fix("write the file as UTF-8")
        .bad("\"summary\":\"caf\\xe9\", in Latin-1")
        .good("\"summary\":\"café\", in UTF-8"),
    rule(Rule::ByteOrderMark, "byte-order-mark", Error, "a byte-order mark at the beginning")
        .fix("save the file without it (\"UTF-8 without BOM\")")
        .bad("\\xef\\xbb\\xbf{…}")
        .good("{…}"),
    rule(Rule::NulByte, "nul-byte", Error, "a NUL byte, as a power loss leaves them")
        .fix("restore the file from git; a line that was never committed is lost")
        .bad("{\"agent_id\":\"codex-1\",\\x00\\x00\\x00")
        .good("{\"agent_id\":\"codex-1\",…}"),
    rule(Rule::MergeConflict, "merge-conflict", Error, "a marker that a merge left behind")
        .fix("in a log keep the lines of both sides and remove the markers; for a claim, `bus doctor --fix` writes what its ref knows")
        .bad("<<<<<<< HEAD")
        .good("the lines of both sides, without the markers"),
    rule(Rule::LineTooLong, "line-too-long", Error, "a line of a log with more than 64 KiB")
        .fix("put the long text into a file and name it as a receipt")
        .bad("{…,\"summary\":\"(100,000 letters)\"}")
        .good("{…,\"receipts\":[\"_report/agent/codex-1/build.log\"],\"summary\":\"the build fails\"}"),
    rule(Rule::RecordTooLong, "record-too-long", Error, "a record with more than 1 MiB")
        .fix("shorten the notes")
        .bad("_bus/claims/QUEUE-001.json with 2 MiB of notes")
        .good("the notes in a file, and its path in the claim's notes"),
    rule(Rule::NoFinalNewline, "no-final-newline", Error, "a file that does not end with a newline")
        .fix("end it with a newline; `bus doctor --fix` does that for logs and channels")
        .bad("{…}{…} on one line after the next append")
        .good("{…}\\n"),
    rule(Rule::TornLine, "torn-line", Warning, "a line of a log that was cut off, as a killed writer leaves it")
        .fix("remove the line if the base does not have it yet; else leave it: readers skip it, and a log is never cut")
        .bad("{\"agent_id\":\"codex-1\",\"eve")
        .good("{\"agent_id\":\"codex-1\",\"event\":\"note\",…}"),
    rule(Rule::InvalidJson, "invalid-json", Error, "what is not valid JSON")
        .fix("write valid JSON (RFC 8259)")
        .bad("{'task_id': 'QUEUE-001',}")
        .good("{\"task_id\": \"QUEUE-001\"}"),
    rule(Rule::NotAnObject, "not-an-object", Error, "JSON that is not an object")
        .fix("write one object")
        .bad("[\"codex-1\", \"note\"]")
        .good("{\"agent_id\":\"codex-1\",\"event\":\"note\",…}"),
    rule(Rule::TwoObjects, "two-objects", Error, "something that follows the object on its line or in its file")
        .fix("give each object its own line; a record file has one")
        .bad("{…}{…}")
        .good("{…}\\n{…}"),
    rule(Rule::DuplicateKey, "duplicate-key", Error, "a key that occurs twice in one object")
        .fix("keep one of them: readers disagree on which counts")
        .bad("{\"agent_id\":\"codex-1\",\"agent_id\":\"codex-2\",…}")
        .good("{\"agent_id\":\"codex-1\",…}"),
    rule(Rule::MissingField, "missing-field", Error, "a required field that is missing or empty")
        .fix("add it; `_bus/README.md` lists the fields")
        .bad("{\"agent_id\":\"codex-1\",\"event\":\"note\",\"ts\":\"2025-09-19T17:45:00Z\"}")
        .good("{\"agent_id\":\"codex-1\",\"event\":\"note\",\"summary\":\"read it\",\"ts\":\"2025-09-19T17:45:00Z\"}"),
    rule(Rule::WrongType, "wrong-type", Error, "a field with a value of the wrong type")
        .fix("write what the field takes; `_bus/README.md` lists the fields")
        .bad("\"revision\": \"3\"")
        .good("\"revision\": 3"),
    rule(Rule::UnknownValue, "unknown-value", Error, "a field whose value is not allowed: a status, a severity, a commit")
        .fix("write one of the words")
        .bad("\"status\": \"pending\"")
        .good("\"status\": \"active\""),
    rule(Rule::BadId, "bad-id", Error, "an id that breaks the rules for ids")
        .fix("use 1 to 100 of `A-Z a-z 0-9 . _ -`, a letter or digit first; a task id does not begin with `agent-`")
        .bad("\"task_id\": \"../QUEUE-001\"")
        .good("\"task_id\": \"QUEUE-001\""),
    rule(Rule::BadTimestamp, "bad-timestamp", Error, "a time in another form, or one that no calendar has")
        .fix("write it as `2025-09-19T17:45:00Z`, in UTC")
        .bad("\"ts\":\"2025-02-30T12:00:00+02:00\"")
        .good("\"ts\":\"2025-02-28T10:00:00Z\""),
    rule(Rule::ReleasedBeforeClaimed, "released-before-claimed", Error, "a claim that ended before it began")
        .fix("write the time of the release; a new claim of the task has no `released_at`")
        .bad("\"claimed_at\": \"2025-09-19T17:45:00Z\", \"released_at\": \"2025-09-18T09:00:00Z\"")
        .good("\"claimed_at\": \"2025-09-19T17:45:00Z\", \"released_at\": \"2025-09-19T18:00:00Z\""),
    rule(Rule::WrongBranch, "wrong-branch", Error, "a claim on a branch that is not under `agent/<agent_id>/`")
        .fix("claim with `--branch agent/<agent_id>/…`, or without `--branch`")
        .bad("\"agent_id\": \"codex-1\", \"branch\": \"main\"")
        .good("\"agent_id\": \"codex-1\", \"branch\": \"agent/codex-1/queue-001\""),
    rule(Rule::IdClash, "id-clash", Error, "two lines with one id that say different things")
        .fix("give the line that was added a new id, or remove it: a line is never edited, a correction is a new event")
        .bad("{…,\"id\":\"0199b7a3-…\",\"summary\":\"done\"} and {…,\"id\":\"0199b7a3-…\",\"summary\":\"not done\"}")
        .good("the same line twice, byte for byte, as a merge leaves it"),
    rule(Rule::ForeignEvent, "foreign-event", Error, "an event in another agent's file or batch")
        .fix("move the line to `_bus/events/<agent_id>.jsonl`")
        .bad("_bus/events/codex-1.jsonl: {\"agent_id\":\"codex-2\",…}")
        .good("_bus/events/codex-2.jsonl: {\"agent_id\":\"codex-2\",…}"),
    rule(Rule::WrongChannel, "wrong-channel", Error, "a message in another task's or another agent's channel, or in a batch of another sender's")
        .fix("move the line to `_bus/messages/<task_id>.jsonl`, to `agent-<to>.jsonl`, or to a batch of its sender's")
        .bad("_bus/messages/QUEUE-001.jsonl: {\"task_id\":\"QUEUE-002\",…}")
        .good("_bus/messages/QUEUE-002.jsonl: {\"task_id\":\"QUEUE-002\",…}"),
    rule(Rule::BadQueueItem, "bad-queue-item", Error, "a queue item whose name is not `NNN-slug.md`, whose text has no title, or whose `After` names no task")
        .fix("call it `queue/NNN-slug.md`, begin it with `# Task: TITLE`, and name tasks by their ids in `After`")
        .bad("queue/12-parser.md, or a text that begins with `Goal:`, or `After: the lexer's`")
        .good("queue/012-parser.md: # Task: Read the new syntax"),
    rule(Rule::DoubtfulQueueItem, "doubtful-queue-item", Warning, "a queue item of which a part means nothing, and is passed over")
        .fix("write `Priority` and `Plan` as `bus queue add` does, and `After` on a line of its own, without marks, above the text")
        .bad("queue/012-parser.md: `Priority: soon`, or `- **After**: QUEUE-001`")
        .good("queue/012-parser.md: `Priority: high`, and `After: QUEUE-001`"),
    rule(Rule::QueueCycle, "queue-cycle", Warning, "queue items that wait for one another, so that none can begin")
        .fix("take one of them out of an `After`")
        .bad("queue/001-a.md: `After: QUEUE-002`, and queue/002-b.md: `After: QUEUE-001`")
        .good("queue/001-a.md, and queue/002-b.md: `After: QUEUE-001`"),
    rule(Rule::BadConfig, "bad-config", Error, "a `config.toml` that is not valid")
        .fix("use only the keys and values that the comments of a new `_bus/config.toml` explain, as `bus init` writes it")
        .bad("require_asignment = true")
        .good("require_assignment = true"),
    rule(Rule::BadPattern, "bad-pattern", Error, "a lease with a pattern of paths that means nothing")
        .fix("take the lease with `bus lock acquire`, which says what is wrong with a pattern")
        .bad("\"scope\": [\"src/**x\"]")
        .good("\"scope\": [\"src/**/x\"]"),
    rule(Rule::LeaseOverlap, "lease-overlap", Error, "two live leases of two holders that could share a path: here, on the base, or on another branch")
        .fix("give one of them back with `bus lock release`, or wait until it is over; what `bus lock acquire` grants is never so within a clone")
        .bad("codex-1 holds src/**, and codex-2 holds src/parser/lex.rs")
        .good("codex-1 holds src/**, and codex-2 holds docs/; or both leases are shared"),
    rule(Rule::MissingPlan, "missing-plan", Warning, "a claim with a plan that is not there")
        .fix("commit the plan, or take `plan_id` out of the claim")
        .bad("\"plan_id\": \"2025-09-19-parser\" without _plans/2025-09-19-parser.plan.json")
        .good("\"plan_id\": \"2025-09-19-parser\" with _plans/2025-09-19-parser.plan.json"),
    rule(Rule::UndatedPlan, "undated-plan", Warning, "a plan whose id is not of the form `YYYY-MM-DD-slug`")
        .fix("make plans with `bus plan new`, which puts the day before the name; an old one may stay as it is")
        .bad("_plans/parser.plan.json: {\"plan_id\": \"parser\", …}")
        .good("_plans/2025-09-19-parser.plan.json: {\"plan_id\": \"2025-09-19-parser\", …}"),
    rule(Rule::DuplicateStep, "duplicate-step", Error, "two steps of a plan with one id, in whatever letter case")
        .fix("give each step an id of its own")
        .bad("\"steps\": [{\"id\": \"S1\", …}, {\"id\": \"S1\", …}]")
        .good("\"steps\": [{\"id\": \"S1\", …}, {\"id\": \"S2\", …}]"),
    rule(Rule::TwoStepsInProgress, "two-steps-in-progress", Error, "a second step of a plan that is in progress")
        .fix("let one step be `in_progress`; the others are `queued`, `blocked` or `done`")
        .bad("\"steps\": [{\"id\": \"S1\", \"status\": \"in_progress\", …}, {\"id\": \"S2\", \"status\": \"in_progress\", …}]")
        .good("\"steps\": [{\"id\": \"S1\", \"status\": \"in_progress\", …}, {\"id\": \"S2\", \"status\": \"queued\", …}]"),
    rule(Rule::StepWithoutReceipt, "step-without-receipt", Error, "a finished step of a plan without a receipt")
        .fix("name the file that proves it in the step's `receipts`")
        .bad("{\"id\": \"S1\", \"status\": \"done\", \"receipts\": []}")
        .good("{\"id\": \"S1\", \"status\": \"done\", \"receipts\": [\"_report/agent/codex-1/tests.log\"]}"),
    rule(Rule::MissingReceipt, "missing-receipt", Error, "a receipt of what is finished, or one whose SHA-256 was noted, that is not there, or that the base names and this plan does not")
        .fix("commit the file, or name the one that proves the step; what the base names stays named")
        .bad("\"receipts\": [\"_report/agent/codex-1/gone.log\"]")
        .good("\"receipts\": [\"_report/agent/codex-1/tests.log\"], a file of the repository"),
    rule(Rule::ReceiptChanged, "receipt-changed", Error, "a receipt that is not what it was when it was named, or whose SHA-256 is not the base's")
        .fix("put the file back as it was; what it is now is another receipt: `bus receipt add`")
        .bad("a log that was edited after `bus plan step … --receipt` had noted its SHA-256 in `receipt_hashes`")
        .good("the log as it was, and a second one beside it"),
    rule(Rule::UnlistedReceipt, "unlisted-receipt", Error, "a SHA-256 of what is not among the receipts")
        .fix("name the receipt again, beside its SHA-256 in `receipt_hashes`: what proved something is not dropped")
        .bad("\"receipts\": [], \"receipt_hashes\": {\"_report/agent/codex-1/tests.log\": \"9f86d0…\"}")
        .good("\"receipts\": [\"_report/agent/codex-1/tests.log\"], \"receipt_hashes\": {\"_report/agent/codex-1/tests.log\": \"9f86d0…\"}"),
    rule(Rule::TrackedRecord, "tracked-record", Error, "a record file that is in a branch, or a `_bus/.gitignore` that lets one in, although the base's policy keeps records beside the branches")
        .fix("take it out of the branch and keep the file: `git rm --cached -- FILE`; what the base has stays as the base has it (`git checkout origin/main -- FILE`), or goes")
        .bad("`[records] tracked = false`; the branch adds _bus/claims/QUEUE-001.json")
        .good("the branch has queue/, _plans/ and _report/ alone, and of _bus/ what the base has"),
    rule(Rule::TrackedManifest, "tracked-manifest", Error, "an `AGENT_MANIFEST*.json` that is in a branch, in whatever letter case: a merge would put it in the place of each worktree's own")
        .fix("take it out of the branch and keep the file: `git rm --cached -- FILE`; `bus init` lets git ignore it")
        .bad("the branch adds AGENT_MANIFEST.json: {\"agent_id\": \"codex-1\"}")
        .good("AGENT_MANIFEST.json is in the worktree alone, and git ignores it"),
    rule(Rule::TooMuch, "too-much", Error, "more of something than is read: what is beyond the bound was not judged")
        .fix("make it less: the message says what has a bound, and which")
        .bad("2,000 leases with patterns so complex that nobody can say in time whether two share a path")
        .good("leases of a few plain patterns each"),
    rule(Rule::AppendOnly, "append-only", Error, "a line of a log that is in the base but not here, or not in its place; a batch that is not as the base has it")
        .fix("put the line back as it was, in its place; a correction is a new line at the end, or in a new batch")
        .bad("a line that was edited, cut, moved up or deleted; a line that was added to a batch of the base's")
        .good("new lines at the end; a line that moved to another file of the log; a new batch"),
    rule(Rule::RecordGone, "record-gone", Error, "a claim, a lease, an assignment, a plan or a queue item that is in the base but not here")
        .fix("put the file back as the base has it (`git checkout origin/main -- FILE`); a claim ends by `bus release`")
        .bad("_bus/claims/QUEUE-001.json deleted")
        .good("_bus/claims/QUEUE-001.json with status `done`"),
    rule(Rule::DuplicateClaim, "duplicate-claim", Error, "a task with two owners: here, on the base, or on another branch")
        .fix("give way: put the base's file of this task back, and take another task (README, \"When something is wrong\"); or wait until its owner has released it there")
        .bad("the base: codex-1 holds QUEUE-001; here: codex-2 holds it, and no `lineage` says how")
        .good("the base: codex-1 has released QUEUE-001; here: codex-2 holds it"),
    rule(Rule::ClaimRollback, "claim-rollback", Error, "a claim that fell back behind the base's state of it")
        .fix("put the file back as the base has it (`git checkout origin/main -- FILE`); the claim goes on from there with `bus`")
        .bad("the base: revision 5, `done`; here: revision 3 of the same claim, `active`")
        .good("the base: revision 3; here: revision 5"),
    rule(Rule::HandoverForged, "handover-forged", Error, "a change of owner, or another state of a claim, that the claim's own history does not have")
        .fix("take the record that `git log refs/bus/claims/<TASK>` shows")
        .bad("a `lineage` that was written by hand")
        .good("a record as `bus reclaim` wrote it"),
    rule(Rule::HandoverUnproved, "handover-unproved", Warning, "a change of owner that only its own record shows, or a state of a claim that its claim ref here does not have yet, and that nothing here can prove")
        .fix("nothing, if you know of it; if the claims' history is on the remote, it proves it: `git fetch origin '+refs/bus/claims/*:refs/bus-remote/origin/claims/*'`")
        .bad("a `lineage`, and no claim ref that can be read here")
        .good("a `lineage`, and a claim ref that has the record"),
    rule(Rule::PlanRegression, "plan-regression", Error, "a finished plan or step that is not finished any more, or is gone")
        .fix("leave what is done as done; add a new step for work that must be done again")
        .bad("the base: S1 is `done`; here: S1 is `in_progress`")
        .good("the base: S1 is `done`; here: S1 is `done`, and S2 is new"),
    rule(Rule::PathLeased, "path-leased", Error, "on a branch `agent/<id>/…`: a changed path that is in another agent's live exclusive lease")
        .fix("remove the change from this branch, or wait until the lease has ended; `bus check` says so before a commit. Managers are free")
        .bad("on agent/codex-1/x: src/app.rs is changed, and codex-2 holds src/**")
        .good("on agent/codex-1/x: src/app.rs came in with a merge of main"),
    rule(Rule::PathUnleased, "path-unleased", Error, "on a branch `agent/<id>/…`: a changed path for which `[locks] require` of the base's policy wants a lease, and the agent took none")
        .fix("take a lease before the change (`bus lock acquire`); in a bus without `[records]` commit its record with it, live or ended. Managers are free")
        .bad("hotspots = [\"*.toml\"]; on agent/codex-1/x: Cargo.toml is changed, and no lease of codex-1's has it")
        .good("the same, and codex-1 holds *.toml, or gave it back after the branch had begun"),
    rule(Rule::UnclaimedBranch, "unclaimed-branch", Warning, "a branch `agent/<id>/…` whose task `<id>` does not hold on this branch, and has not ended itself; an error if the base's policy says `[ci] claims = \"required\"`")
        .fix("claim the task (`bus claim TASK --branch BRANCH`), and call the branch `agent/<id>/<task>`, so that the task is known; `bus sync` publishes what was claimed offline. Managers are free")
        .bad("on agent/codex-1/queue-001: nobody has claimed QUEUE-001, or codex-2 has, or codex-1 on another branch")
        .good("on agent/codex-1/queue-001: codex-1 holds QUEUE-001 on this branch, or has released it"),
    rule(Rule::ClaimLost, "claim-lost", Error, "a branch `agent/<id>/…` whose task somebody else has taken over or released")
        .fix("ask who has the task now (`bus status`), and hand the work over; or claim it again when it is free. Managers are free")
        .bad("on agent/codex-1/queue-001: codex-2 has reclaimed QUEUE-001")
        .good("on agent/codex-1/queue-001: codex-1 has released QUEUE-001, and codex-2 has claimed it since"),
    rule(Rule::NotJudged, "not-judged", Warning, "a change of which nobody can say whose branch it is on, since none is checked out or named, or who holds its tasks and its paths, since the fleet's refs are not here; an error if the base's policy says `[ci] claims = \"required\"`")
        .fix("name the branch (`--branch NAME`; `--branch ''` if it is nobody's); fetch the refs and judge again: `git fetch origin '+refs/bus/*:refs/bus-remote/origin/*'`; in CI ci/validate.sh fetches what it needs")
        .bad("the base's policy has [fleet], and the remote did not answer")
        .good("ci/validate.sh has fetched the claim of the branch's task"),
    rule(Rule::PolicyChanged, "policy-changed", Error, "on a branch `agent/<id>/…`: another policy than the base's: `[fleet]`, `[records]`, `[locks]`, `[claims]`, `[ci]`, `require_assignment` or `managers`, also by a `config.toml` that is gone or cannot be read")
        .fix("take the change out of this branch (`git checkout origin/main -- _bus/config.toml`), and ask a manager for it. Managers are named in the base's `_bus/config.toml`")
        .bad("on agent/codex-1/x: `[fleet]` was taken out of _bus/config.toml")
        .good("on agent/codex-1/x: a comment in _bus/config.toml; on agent/lead/x, the manager's: `stale_after = \"2h\"`"),
    rule(Rule::Tampering, "tampering", Error, "on a branch `agent/<id>/…`: a claim or a log line of another agent that was changed or added, unless a branch of that agent also has the batch; or a file below its `_report/agent/<id>/` that was changed or removed")
        .fix("take the line or the file out of this branch again; its agent writes it on a branch of its own, and a batch that comes from there is proved by that branch: fetch it. Managers are named in the base's `_bus/config.toml`")
        .bad("on agent/codex-1/x: a line by codex-2 in _bus/events/codex-2.jsonl")
        .good("on agent/codex-1/x: a line by codex-1 in _bus/events/codex-1.jsonl"),
    rule(Rule::ChainBroken, "chain-broken", Error, "with `--fleet`: a state of a claim, or of the table of leases, that cannot be read, is of another task, or was written by who could not have written it")
        .fix("look at it with `git log REF`, and at who could push it; `bus sync` in a clone that has the chain as it was puts it back")
        .bad("refs/bus/claims/QUEUE-001: a state whose `task_id` is QUEUE-002")
        .good("refs/bus/claims/QUEUE-001: states of QUEUE-001, each by its owner or by who ended it"),
    rule(Rule::LogRewritten, "log-rewritten", Error, "with `--fleet`: a clone's log that has lost something: a line that it had, or a commit that a landing names (`Bus-Log: <clone>=<commit>`)")
        .fix("a clone keeps what it has seen of the log: `bus sync` there reports it; `bus doctor --accept-log ID` accepts what the log is now")
        .bad("a landed merge says `Bus-Log: k3f9=1a2b…`, and refs/bus/log/k3f9 does not descend from 1a2b…")
        .good("each commit of refs/bus/log/k3f9 has all lines of the one before"),
];
