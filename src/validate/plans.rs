//! What is finished stays finished, and proved: plans, their steps and receipts.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};
use std::path::{Component, Path};

use super::Error;
use super::base::Base;
use super::finding::{Findings, Place};
use super::records::Surroundings;
use super::rule::Rule;
use crate::git::{History, Indexed};
use crate::record::{PathStep, Places, PlanFlaw, PlanRecord, Progress, Receipts, Sha256};
use crate::store::{Error as StoreError, Evidence, FileSum, Sums};

/// The receipts of a plan, or of one of its steps.
struct Proof<'a> {
    /// The step's place and id, or `None` if it is the plan itself.
    step: Option<(usize, &'a str)>,
    /// Whether what it proves is finished.
    is_done: bool,
    receipts: &'a Receipts,
}

impl<'a> Proof<'a> {
    /// All that a plan has.
    fn all(plan: &'a PlanRecord) -> impl Iterator<Item = Self> {
        let own =
            Proof { step: None, is_done: plan.status == Progress::Done, receipts: &plan.receipts };
        let steps = plan.steps.iter().enumerate().map(|(number, step)| Proof {
            step: Some((number, &step.id)),
            is_done: step.status == Progress::Done,
            receipts: &step.receipts,
        });
        std::iter::once(own).chain(steps)
    }

    /// Where `field` of it stands.
    fn place(&self, places: &Places<'_>, field: &str) -> Place {
        places.locate(&at(self.step.map(|(number, _)| number), field)).into()
    }

    /// What it is called, and why a receipt of it must be there.
    fn describe(&self) -> String {
        let what =
            self.step.map_or_else(|| "the plan".to_owned(), |(_, id)| format!("the step `{id}`"));
        if self.is_done {
            format!("{what} is done, and")
        } else {
            format!("{what} notes the SHA-256, and")
        }
    }
}

/// Where `field` of a step stands, or of the plan.
fn at(step: Option<usize>, field: &str) -> Vec<PathStep<'_>> {
    let steps = step.map(|number| [PathStep::Key("steps"), PathStep::Item(number)]);
    steps.into_iter().flatten().chain([PathStep::Key(field)]).collect()
}

/// Checks what a plan's fields say together, and the files that its receipts name.
///
/// # Errors
///
/// [`StoreError::Io`] if a receipt is there and cannot be read.
pub(super) fn check(
    findings: &mut Findings,
    around: &Surroundings,
    path: &str,
    places: &Places<'_>,
    plan: &PlanRecord,
) -> Result<(), StoreError> {
    for flaw in plan.flaws() {
        let id = |number: usize| plan.steps[number].id.as_str();
        let (rule, at, words) = match &flaw {
            PlanFlaw::Undated => (
                Rule::UndatedPlan,
                at(None, "plan_id"),
                format!("`{}` is not of the form `YYYY-MM-DD-slug`", plan.plan_id),
            ),
            PlanFlaw::DuplicateStep(number) => (
                Rule::DuplicateStep,
                at(Some(*number), "id"),
                format!("a second step is called `{}`", id(*number)),
            ),
            PlanFlaw::SecondInProgress(number) => {
                let first = plan.current().map_or("", |first| &first.id);
                let words =
                    format!("the step `{}` is in progress, and so is `{first}`", id(*number));
                (Rule::TwoStepsInProgress, at(Some(*number), "status"), words)
            }
            PlanFlaw::StepWithoutReceipt(number) => {
                let words = format!("the step `{}` is done and names no receipt", id(*number));
                (Rule::StepWithoutReceipt, at(Some(*number), "status"), words)
            }
            // There may be many of them in one place, which is looked for once.
            PlanFlaw::UnlistedReceipt { .. } => continue,
        };
        findings.add(rule, path, Some(places.locate(&at).into()), || words);
    }
    Proof::all(plan).try_for_each(|proof| check_proof(findings, around, path, places, &proof))
}

fn check_proof(
    findings: &mut Findings,
    around: &Surroundings,
    path: &str,
    places: &Places<'_>,
    proof: &Proof<'_>,
) -> Result<(), StoreError> {
    let listed_at = LazyCell::new(|| proof.place(places, "receipts"));
    let noted_at = LazyCell::new(|| proof.place(places, "receipt_hashes"));
    for (receipt, evidence) in Evidence::of_all(&around.root, proof.receipts, &around.sums) {
        let is_wanted = proof.is_done || proof.receipts.hashes.contains_key(receipt);
        match evidence? {
            Evidence::Gone if is_wanted => {
                let words = || {
                    format!(
                        "{} its receipt `{receipt}` is no file of this repository",
                        proof.describe()
                    )
                };
                findings.add(Rule::MissingReceipt, path, Some(*listed_at), words);
            }
            Evidence::Changed { .. } => add_changed(findings, path, *noted_at, receipt),
            Evidence::There | Evidence::Gone => {}
        }
    }
    for unlisted in proof.receipts.unlisted() {
        let words = || format!("`{unlisted}` has a SHA-256 here, and is not among the receipts");
        findings.add(Rule::UnlistedReceipt, path, Some(*noted_at), words);
    }
    Ok(())
}

fn add_changed(findings: &mut Findings, path: &str, place: Place, receipt: &str) {
    let words = || {
        format!(
            "the receipt `{receipt}` is not what it was when it was named: its SHA-256 is another"
        )
    };
    findings.add(Rule::ReceiptChanged, path, Some(place), words);
}

/// Compares the plan at `path` with what the base had of it. Bytes that are no plan are told of
/// elsewhere.
pub(super) fn compare(findings: &mut Findings, path: &str, before: &[u8], now: &[u8]) {
    let (Ok(before), Ok(plan)) = (PlanRecord::parse(before), PlanRecord::parse(now)) else {
        return;
    };
    let places = Places::of(now);
    let mut add = |at: &[PathStep<'_>], words: String| {
        findings.add(Rule::PlanRegression, path, Some(places.locate(at).into()), || words);
    };
    if before.status == Progress::Done && plan.status != Progress::Done {
        add(&[PathStep::Key("status")], "the plan was done, and is not any more".to_owned());
    }
    // Of two steps with one id the first counts.
    let steps: HashMap<&str, (usize, Progress)> = plan
        .steps
        .iter()
        .enumerate()
        .rev()
        .map(|(number, step)| (step.id.as_str(), (number, step.status)))
        .collect();
    for step in before.steps.iter().filter(|step| step.status == Progress::Done) {
        let found = steps.get(step.id.as_str());
        match found {
            None => add(
                &[PathStep::Key("steps")],
                format!("the step `{}` was done, and is gone", step.id),
            ),
            Some((number, now)) if *now != Progress::Done => {
                let at = [PathStep::Key("steps"), PathStep::Item(*number), PathStep::Key("status")];
                add(&at, format!("the step `{}` was done, and is not any more", step.id));
            }
            Some(_) => {}
        }
    }
    compare_proofs(findings, path, &places, &before, &plan);
}

/// What proved something on the base still does: it is named, with the SHA-256 that it had. Whether
/// the file has it, [`check`] tells.
fn compare_proofs(
    findings: &mut Findings,
    path: &str,
    places: &Places<'_>,
    before: &PlanRecord,
    plan: &PlanRecord,
) {
    // Of two steps with one id the first counts.
    let now: HashMap<Option<&str>, Proof<'_>> = Proof::all(plan)
        .collect::<Vec<_>>()
        .into_iter()
        .rev()
        .map(|proof| (proof.step.map(|(_, id)| id), proof))
        .collect();
    for before in Proof::all(before) {
        // That a step is gone is told of where it matters.
        let Some(proof) = now.get(&before.step.map(|(_, id)| id)) else { continue };
        let named: HashSet<String> =
            proof.receipts.paths.iter().map(|receipt| plain(receipt)).collect();
        let sums: HashMap<String, &Sha256> =
            proof.receipts.hashes.iter().map(|(receipt, sum)| (plain(receipt), sum)).collect();
        let (listed_at, noted_at) = (
            LazyCell::new(|| proof.place(places, "receipts")),
            LazyCell::new(|| proof.place(places, "receipt_hashes")),
        );
        let mut seen = HashSet::new();
        for receipt in before.receipts.paths.iter().filter(|receipt| seen.insert(receipt.as_str()))
        {
            let (plain, noted) = (plain(receipt), before.receipts.hashes.get(receipt));
            if !named.contains(&plain) && (before.is_done || noted.is_some()) {
                let words = || {
                    format!(
                        "{} on the base `{receipt}` proves it, which is not named any more",
                        before.describe()
                    )
                };
                findings.add(Rule::MissingReceipt, path, Some(*listed_at), words);
            } else if let Some(noted) = noted.filter(|noted| sums.get(&plain) != Some(noted)) {
                let words = || {
                    format!(
                        "the base noted the SHA-256 {noted} of the receipt `{receipt}`, which is not noted here"
                    )
                };
                findings.add(Rule::ReceiptChanged, path, Some(*noted_at), words);
            }
        }
    }
}

/// What the base has of the receipts that its plans name.
pub(super) struct Before<'a> {
    root: &'a Path,
    history: &'a History,
    base: &'a Base,
    indexed: Indexed,
    /// Those below `_report/` that are not here any more.
    lost: HashSet<&'a str>,
    sums: Sums,
}

impl<'a> Before<'a> {
    pub(super) fn new(root: &'a Path, history: &'a History, base: &'a Base) -> Self {
        let lost = base.commits.iter().flat_map(|commit| commit.lost_receipts(root)).collect();
        Self { root, history, base, indexed: history.indexed(), lost, sums: Sums::default() }
    }

    /// Tells which receipts of the plan `bytes`, which is as the base has it, were lost or changed
    /// since.
    ///
    /// # Errors
    ///
    /// [`Error::Store`] if a receipt is there and cannot be read; [`Error::Git`] if the
    /// base's cannot.
    pub(super) fn find_spoiled(
        &self,
        findings: &mut Findings,
        path: &str,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let Ok(plan) = PlanRecord::parse(bytes) else { return Ok(()) };
        let places = Places::of(bytes);
        for proof in Proof::all(&plan) {
            let listed_at = LazyCell::new(|| proof.place(&places, "receipts"));
            let noted_at = LazyCell::new(|| proof.place(&places, "receipt_hashes"));
            for receipt in &proof.receipts.paths {
                let noted = proof.receipts.hashes.get(receipt);
                let evidence = match noted {
                    Some(noted) => self.look(receipt, noted)?,
                    None if proof.is_done && self.lost.contains(plain(receipt).as_str()) => {
                        Evidence::Gone
                    }
                    None => Evidence::There,
                };
                match evidence {
                    Evidence::There => {}
                    Evidence::Changed { .. } => add_changed(findings, path, *noted_at, receipt),
                    Evidence::Gone => {
                        let words =
                            || format!("{} its receipt `{receipt}` is gone", proof.describe());
                        findings.add(Rule::MissingReceipt, path, Some(*listed_at), words);
                    }
                }
            }
        }
        Ok(())
    }

    /// What became of a receipt since the base: what was gone or changed there already is nobody's
    /// doing here.
    fn look(&self, receipt: &str, noted: &Sha256) -> Result<Evidence, Error> {
        let plain = plain(receipt);
        // What the index knows to be the base's need not be read.
        let indexed = self.indexed.blob_of(self.root, &plain);
        if indexed.is_some()
            && self.base.receipt_at_hand(&plain).any(|file| Some(file.id) == indexed)
        {
            return Ok(Evidence::There);
        }
        let evidence = Evidence::of(self.root, receipt, Some(noted), &self.sums)?;
        if evidence == Evidence::There {
            return Ok(evidence);
        }
        for file in self.base.receipt(self.history, &plain)? {
            if evidence == Evidence::Gone || FileSum::of(&self.history.read(file.id)?).is(noted) {
                return Ok(evidence);
            }
        }
        Ok(Evidence::There)
    }
}

/// A path without the dots that lead nowhere: `_report/a.log` for `./_report/a.log`.
fn plain(path: &str) -> String {
    let parts = Path::new(path).components().filter(|part| !matches!(part, Component::CurDir));
    parts.map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
