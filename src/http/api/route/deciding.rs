//! The routes of who may what: what rules say, and requests for approval.

use serde_json::{Map, Value};

use super::{On, Route, act, read};
use crate::access::Action;
use crate::http::api::listing::Listing;
use crate::http::api::shape::{self, List};
use crate::http::api::{access, approval};

/// What rules say, in fields of its own for each question.
type Shown = Map<String, Value>;

/// All of them.
pub(super) fn routes() -> Vec<Route> {
    use Action::{AccessRead, ApprovalDecide, ApprovalRead, OwnAccessRead, OwnApprovalWithdraw};
    use On::{Named, Oneself, Several};
    vec![
        read("/access/own", "What whoever asks may", OwnAccessRead, Oneself, access::own)
            .gives::<Shown>(),
        read(
            "/access/decision",
            "Whether somebody may do something, and by what",
            AccessRead,
            Several,
            access::decision,
        )
        .asks::<access::Question>()
        .gives::<Shown>(),
        read("/access/who-can", "Who may do something", AccessRead, Several, access::who_can)
            .asks::<access::Question>()
            .gives::<Shown>(),
        read("/approvals", "List requests for approval", ApprovalRead, Several, approval::list)
            .asks::<Listing>()
            .gives::<List<shape::Approval>>(),
        read(
            "/approvals/{id}",
            "Show a request for approval",
            ApprovalRead,
            Named("approval"),
            approval::show,
        )
        .gives::<shape::Approval>(),
        act(
            "/approvals/{id}/approve",
            "Agree to a request of somebody else",
            ApprovalDecide,
            Named("approval"),
            approval::approve,
        )
        .takes::<approval::Said>()
        .gives::<shape::Approval>(),
        act(
            "/approvals/{id}/deny",
            "Do not agree to a request",
            ApprovalDecide,
            Named("approval"),
            approval::deny,
        )
        .takes::<approval::Said>()
        .gives::<shape::Approval>(),
        act(
            "/approvals/{id}/withdraw",
            "Take a request of one's own back",
            OwnApprovalWithdraw,
            Oneself,
            approval::withdraw,
        )
        .gives::<shape::Approval>(),
    ]
}
