//! The routes of the audit log, and of what proves it.

use super::super::listing::Log;
use super::super::shape::{self, List};
use super::super::{inventory, lineage, log};
use super::{On, Route, act, read};
use crate::access::Action;

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    use Action::{CheckpointMake, EventRead as Read};
    use On::Several;
    vec![
        read("/events", "The audit log", Read, Several, inventory::events)
            .asks::<Log>()
            .gives::<List<shape::Event>>(),
        read("/audit/events", "The audit log as it is hashed", Read, Several, log::lines)
            .asks::<log::Lines>()
            .gives::<List<String>>(),
        read("/audit/key", "What verifies checkpoints", Read, Several, log::key)
            .gives::<shape::CheckpointKey>(),
        read("/audit/checkpoint", "The newest checkpoint, a note", Read, Several, log::checkpoint)
            .gives_text(),
        act("/audit/checkpoint", "Sign what is new", CheckpointMake, Several, log::sign)
            .gives::<shape::Checkpoint>(),
        read("/audit/checkpoints/newest", "The same, and its time", Read, Several, log::newest)
            .gives::<shape::Checkpoint>(),
        read("/audit/proofs/{id}", "Prove that an event is in it", Read, Several, log::proof)
            .gives::<shape::InclusionProof>(),
        read("/audit/consistency", "Prove that it only grew", Read, Several, log::consistency)
            .asks::<log::Between>()
            .gives::<shape::ConsistencyProof>(),
        read("/audit/lineage/{kind}/{name}", "From first to last", Read, Several, lineage::lineage)
            .gives::<shape::Lineage>(),
        read("/audit/verify", "Check the audit log", Read, Several, log::verify)
            .gives::<shape::LogReport>(),
    ]
}
