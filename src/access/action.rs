//! What can be wanted of the node, each by the name that policies and the audit log know it by.

macro_rules! actions {
    ($($variant:ident = $name:literal;)+) => {
        /// Something that a caller may, or may not.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Action {
            $(
                #[doc = concat!("`", $name, "`")]
                $variant,
            )+
        }

        impl Action {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// `noun.verb`, as policies name it.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

actions! {
    NodeRead = "node.read";
    AuthorityRead = "authority.read";
    ProfileRead = "profile.read";
    DirectoryRead = "directory.read";
    AccountRead = "account.read";
    AccountRevoke = "account.revoke";
    OrderRead = "order.read";
    EventRead = "event.read";
    CheckpointMake = "checkpoint.make";
    CertificateRead = "certificate.read";
    CertificateIssue = "certificate.issue";
    CertificateRevoke = "certificate.revoke";
    ManagedRead = "managed.read";
    ManagedRenew = "managed.renew";
    ManagedRenewEmergency = "managed.renew-emergency";
    ManagedRollBack = "managed.roll-back";
    IssuerRead = "issuer.read";
    IssuerRollKey = "issuer.roll-key";
    KeysetRead = "keyset.read";
    KeysetRotate = "keyset.rotate";
    KeysetRotateEmergency = "keyset.rotate-emergency";
    KeysetRollBack = "keyset.roll-back";
    TargetRead = "target.read";
    ExternalKeyRead = "external-key.read";
    ExternalKeyCreate = "external-key.create";
    ExternalKeyRevoke = "external-key.revoke";
    TokenRead = "token.read";
    TokenCreate = "token.create";
    TokenRevoke = "token.revoke";
    PersonRead = "person.read";
    PersonInvite = "person.invite";
    PersonChange = "person.change";
    SessionRead = "session.read";
    SessionRevoke = "session.revoke";
    OwnSessionRead = "own-session.read";
    OwnSessionEnd = "own-session.end";
    OwnSessionStepUp = "own-session.step-up";
    OwnPasskeyRead = "own-passkey.read";
    OwnPasskeyChange = "own-passkey.change";
    FoundRead = "found.read";
    EndpointRead = "endpoint.read";
    ScanRead = "scan.read";
    ScanRun = "scan.run";
    ReceiverRead = "receiver.read";
    ReceiverTest = "receiver.test";
    DeclarationPlan = "declaration.plan";
    DeclarationApply = "declaration.apply";
    DeclarationGovern = "declaration.govern";
    AccessRead = "access.read";
    OwnAccessRead = "own-access.read";
    ApprovalRead = "approval.read";
    ApprovalDecide = "approval.decide";
    OwnApprovalWithdraw = "own-approval.withdraw";
}

impl Action {
    /// The kind of what it is done to.
    pub(crate) fn noun(self) -> &'static str {
        self.name().split_once('.').map_or(self.name(), |(noun, _)| noun)
    }

    /// Whether it changes nothing and shows nothing that only an auditor or an admin is to see.
    pub(crate) fn is_reading(self) -> bool {
        self.name().ends_with(".read") && !self.is_about_others()
    }

    /// Whether it shows what only an auditor or an admin is to see.
    pub(crate) fn is_about_others(self) -> bool {
        matches!(
            self,
            Self::EventRead
                | Self::TokenRead
                | Self::ExternalKeyRead
                | Self::PersonRead
                | Self::SessionRead
                | Self::AccessRead
        )
    }

    /// Whether everybody who was recognised may do it, since it is about nobody but themselves.
    pub(crate) fn is_own(self) -> bool {
        matches!(
            self,
            Self::OwnSessionRead
                | Self::OwnSessionEnd
                | Self::OwnSessionStepUp
                | Self::OwnPasskeyRead
                | Self::OwnPasskeyChange
                | Self::OwnApprovalWithdraw
                | Self::OwnAccessRead
        )
    }

    /// Whether somebody can be asked to agree before it is done: not to reading, nor to agreeing.
    pub(crate) fn can_need_approval(self) -> bool {
        let changes_nothing = self.name().ends_with(".read") || self == Self::DeclarationPlan;
        !changes_nothing && !self.is_own() && self != Self::ApprovalDecide
    }
}
