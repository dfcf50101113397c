//! The routes of who may what: what rules say, and requests for approval.

use super::{On, Route, act, read};
use crate::access::Action;
use crate::http::api::{access, approval};

pub(super) fn routes() -> Vec<Route> {
    use Action::{AccessRead, ApprovalDecide, ApprovalRead, OwnAccessRead, OwnApprovalWithdraw};
    use On::{Named, Oneself, Several};
    vec![
        read("/access/own", "What whoever asks may", OwnAccessRead, Oneself, access::own),
        read(
            "/access/decision",
            "Whether somebody may do something, and by what",
            AccessRead,
            Several,
            access::decision,
        ),
        read("/access/who-can", "Who may do something", AccessRead, Several, access::who_can),
        read("/approvals", "List requests for approval", ApprovalRead, Several, approval::list),
        read(
            "/approvals/{id}",
            "Show a request for approval",
            ApprovalRead,
            Named("approval"),
            approval::show,
        ),
        act(
            "/approvals/{id}/approve",
            "Agree to a request of somebody else",
            ApprovalDecide,
            Named("approval"),
            approval::approve,
        ),
        act(
            "/approvals/{id}/deny",
            "Do not agree to a request",
            ApprovalDecide,
            Named("approval"),
            approval::deny,
        ),
        act(
            "/approvals/{id}/withdraw",
            "Take a request of one's own back",
            OwnApprovalWithdraw,
            Oneself,
            approval::withdraw,
        ),
    ]
}
