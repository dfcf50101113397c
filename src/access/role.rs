//! The roles that are built in, from the least to the most.

use std::fmt;
use std::str::FromStr;

use super::action::Action;

/// A set of actions that belongs to a task of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Sees what stands.
    Viewer,
    /// Sees what stands, the audit log, and who may what.
    Auditor,
    /// Decides what others asked for.
    Approver,
    /// Issues and revokes certificates by hand.
    Issuer,
    /// Renews certificates and rotates keys before their time, in emergencies too.
    Rotator,
    /// Runs the node from day to day: what rotators do, scans, tests, accounts, and declaring certificates,
    /// keysets and endpoints.
    Operator,
    /// Everything.
    Admin,
}

impl Role {
    /// All of them.
    pub(crate) const ALL: [Self; 7] = [
        Self::Viewer,
        Self::Auditor,
        Self::Approver,
        Self::Issuer,
        Self::Rotator,
        Self::Operator,
        Self::Admin,
    ];

    /// What declarations and tokens call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
            Self::Approver => "approver",
            Self::Issuer => "issuer",
            Self::Rotator => "rotator",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// Whether it includes `action`.
    pub(crate) fn includes(self, action: Action) -> bool {
        use Action as A;
        let rotates = matches!(
            action,
            A::ManagedRenew
                | A::ManagedRenewEmergency
                | A::ManagedRollBack
                | A::KeysetRotate
                | A::KeysetRotateEmergency
                | A::KeysetRollBack
        );
        action.is_reading()
            || match self {
                Self::Viewer => false,
                Self::Approver => action == A::ApprovalDecide,
                Self::Auditor => action.is_about_others() || action == A::CheckpointMake,
                Self::Issuer => matches!(action, A::CertificateIssue | A::CertificateRevoke),
                Self::Rotator => rotates,
                Self::Operator => {
                    rotates
                        || matches!(
                            action,
                            A::AccountRevoke
                                | A::CheckpointMake
                                | A::IssuerRollKey
                                | A::ExternalKeyRead
                                | A::ExternalKeyCreate
                                | A::ExternalKeyRevoke
                                | A::ScanRun
                                | A::ReceiverTest
                                | A::DeclarationPlan
                                | A::DeclarationApply
                        )
                }
                Self::Admin => true,
            }
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(())
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
