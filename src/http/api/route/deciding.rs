//! The routes of who may what: requests for approval.

use super::{On, Route, act, read};
use crate::access::Action;
use crate::http::api::approval;

pub(super) fn routes() -> Vec<Route> {
    use Action::{ApprovalDecide, ApprovalRead, OwnApprovalWithdraw};
    use On::{Named, Oneself, Several};
    vec![
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
