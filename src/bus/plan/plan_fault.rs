//! What planning can refuse, with the facts inside.

use serde_json::Value;

use crate::Code;
use crate::record::{PlanId, Progress};

/// How many ids are named.
const MAX_NAMED: usize = 10;

/// Why a plan cannot be shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanFault {
    /// No plan is called so.
    #[error("no plan has `{asked}` in its id")]
    NoPlan {
        /// What was asked for.
        asked: String,
    },
    /// More than one plan is called so.
    #[error("`{asked}` is a part of {} ids of plans", plans.len())]
    Ambiguous {
        /// What was asked for.
        asked: String,
        /// The plans.
        plans: Vec<PlanId>,
    },
    /// The plan has no such step.
    #[error("`{plan}` has no step `{asked}`")]
    NoStep {
        /// The plan.
        plan: PlanId,
        /// What was asked for.
        asked: String,
        /// The steps that it has.
        steps: Vec<String>,
    },
    /// A plan of this id is there, and says something else.
    #[error("there is a plan `{plan}` already, and it says something else")]
    Exists {
        /// The plan.
        plan: PlanId,
    },
    /// What is done stays done.
    #[error("{} is done, and cannot become {wanted}: done is final", part(plan, step.as_deref()))]
    Final {
        /// The plan.
        plan: PlanId,
        /// The step, where it is one.
        step: Option<String>,
        /// What it was to become.
        wanted: Progress,
    },
    /// Another step is in progress.
    #[error("the step `{current}` of `{plan}` is in progress, and only one may be")]
    InProgress {
        /// The plan.
        plan: PlanId,
        /// The step that is.
        current: String,
        /// The step that was to be.
        step: String,
    },
    /// A plan with open steps cannot be done.
    #[error("`{plan}` has steps that are not done: {}, and done is final", steps.len())]
    OpenSteps {
        /// The plan.
        plan: PlanId,
        /// The steps.
        steps: Vec<String>,
    },
    /// A step cannot be done without a receipt.
    #[error("the step `{step}` of `{plan}` names no receipt, so it cannot be done")]
    Unproved {
        /// The plan.
        plan: PlanId,
        /// The step.
        step: String,
    },
    /// The receipt is named already, and is not what it was.
    #[error("the receipt `{path}` is named already, and was changed since")]
    ReceiptChanged {
        /// Its path.
        path: String,
    },
    /// The evidence is not there.
    #[error("there is no file `{path}`")]
    NoReceipt {
        /// Its path.
        path: String,
    },
}

fn part(plan: &PlanId, step: Option<&str>) -> String {
    step.map_or_else(|| format!("`{plan}`"), |step| format!("the step `{step}` of `{plan}`"))
}

impl PlanFault {
    /// The stable name of the error.
    #[must_use]
    pub const fn code(&self) -> Code {
        match self {
            Self::NoPlan { .. } => Code::NoPlan,
            Self::Ambiguous { .. } => Code::Usage,
            Self::NoStep { .. } => Code::NoStep,
            Self::Exists { .. } => Code::PlanExists,
            Self::Final { .. }
            | Self::InProgress { .. }
            | Self::OpenSteps { .. }
            | Self::Unproved { .. }
            | Self::ReceiptChanged { .. } => Code::PlanRefused,
            Self::NoReceipt { .. } => Code::NoReceipt,
        }
    }

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::NoPlan { .. } => "`bus plan list` shows the plans; make one with `bus plan new`".to_owned(),
            Self::Ambiguous { plans, .. } => {
                let more = if plans.len() > MAX_NAMED { ", …" } else { "" };
                let named: Vec<&str> = plans.iter().take(MAX_NAMED).map(PlanId::as_str).collect();
                format!("name more of it: {}{more}", named.join(", "))
            }
            Self::NoStep { plan, steps, .. } if steps.is_empty() => format!("it has no steps: `bus plan show {plan}`"),
            Self::NoStep { steps, .. } => format!("its steps are {}", steps.join(", ")),
            Self::Exists { plan } => format!("look at it with `bus plan show {plan}`, or call yours otherwise"),
            Self::Final { plan, step: None, .. } => {
                format!("make a new plan for work that must be done again; see `bus plan show {plan}`")
            }
            Self::Final { .. } => {
                "work that must be done again is a step of a new plan; notes and receipts may still be added".to_owned()
            }
            Self::InProgress { plan, current, .. } => {
                format!(
                    "end that one first: `bus plan step {plan} {current} --status done --receipt PATH`, or `--status blocked`"
                )
            }
            Self::OpenSteps { plan, steps } => {
                let more = if steps.len() > MAX_NAMED { ", …" } else { "" };
                let named = steps[..steps.len().min(MAX_NAMED)].join(", ");
                format!(
                    "finish {named}{more} first, with `bus plan step`; a plan that is given up ends with `bus plan status {plan} done --checkpoint superseded`"
                )
            }
            Self::Unproved { .. } => "name what proves it: `--receipt PATH`; `bus receipt add FILE` stores it".to_owned(),
            Self::ReceiptChanged { .. } => {
                "store what it is now under a new name, with `bus receipt add`, and name that".to_owned()
            }
            Self::NoReceipt { .. } => "write the file first; `bus receipt add FILE` stores a copy and prints its path".to_owned(),
        }
    }

    /// The facts for `--json`.
    pub(in crate::bus) fn facts(&self) -> Vec<(&'static str, Option<Value>)> {
        let text = |text: &dyn ToString| Some(Value::from(text.to_string()));
        match self {
            Self::NoPlan { asked } => vec![("asked", text(asked))],
            Self::Ambiguous { asked, plans } => {
                vec![
                    ("asked", text(asked)),
                    ("plans", Some(plans.iter().map(PlanId::as_str).collect())),
                ]
            }
            Self::NoStep { plan, asked, steps } => {
                vec![
                    ("plan_id", text(plan)),
                    ("asked", text(asked)),
                    ("steps", Some(Value::from(steps.clone()))),
                ]
            }
            Self::Exists { plan } => vec![("plan_id", text(plan))],
            Self::Final { plan, step, wanted } => vec![
                ("plan_id", text(plan)),
                ("step", step.as_ref().map(|step| Value::from(step.as_str()))),
                ("wanted", text(wanted)),
            ],
            Self::InProgress { plan, current, step } => {
                vec![("plan_id", text(plan)), ("step", text(step)), ("in_progress", text(current))]
            }
            Self::OpenSteps { plan, steps } => {
                vec![("plan_id", text(plan)), ("steps", Some(Value::from(steps.clone())))]
            }
            Self::Unproved { plan, step } => vec![("plan_id", text(plan)), ("step", text(step))],
            Self::ReceiptChanged { path } | Self::NoReceipt { path } => vec![("file", text(path))],
        }
    }
}
