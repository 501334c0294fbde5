//! Plans of tasks: their steps, and the receipts that prove them.

mod plan_edit;
mod plan_fault;
mod plan_files;
mod plan_rules;
mod receipt;

pub(crate) use plan_edit::{
    NewPlan, PlanChange, Planned, StepChange, change_status, change_step, check_step, show_place,
};
pub(in crate::bus) use plan_edit::{checkpoint, new_step, planned, write_plan};
pub(crate) use plan_fault::PlanFault;
pub(crate) use plan_files::{FoundPlan, known_plans, plan, plan_called_here, plans};
pub(in crate::bus) use plan_files::{Plans, copies, plan_called, plan_of};
pub(in crate::bus) use plan_rules::asks_for;
pub(crate) use receipt::{AddReceipt, MAX_RECEIPT, is_ignored, receipt};
pub(in crate::bus) use receipt::{AddedReceipt, REFUSALS, store_receipt};
