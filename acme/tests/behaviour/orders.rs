//! Orders: what their authorizations make of them, and what a CSR may name (RFC 8555 §7.1.6, §7.4).

use acme::ProblemType;
use acme::authorization::AuthorizationStatus::{self, *};
use acme::order::{OrderStatus, Phase, check_names};
use jiff::Timestamp;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).expect("in range")
}

fn status(phase: Phase, authorizations: &[AuthorizationStatus]) -> OrderStatus {
    phase.status(authorizations, at(100), at(99))
}

#[test]
fn an_open_order_is_what_its_authorizations_are() {
    assert_eq!(status(Phase::Open, &[Pending, Valid]), OrderStatus::Pending);
    assert_eq!(status(Phase::Open, &[Valid, Valid]), OrderStatus::Ready);
    for over in [Invalid, Deactivated, Expired, Revoked] {
        assert_eq!(status(Phase::Open, &[Valid, Pending, over]), OrderStatus::Invalid);
    }
    assert_eq!(status(Phase::Open, &[]), OrderStatus::Pending, "nothing was proven");
    assert_eq!(Phase::Open.status(&[Valid], at(100), at(100)), OrderStatus::Invalid);
}

#[test]
fn a_finalized_order_depends_on_nothing_any_more() {
    for (phase, expected) in [
        (Phase::Processing, OrderStatus::Processing),
        (Phase::Issued, OrderStatus::Valid),
        (Phase::Failed, OrderStatus::Invalid),
    ] {
        for authorizations in [&[Valid][..], &[Expired], &[Revoked, Pending], &[]] {
            assert_eq!(phase.status(authorizations, at(100), at(5000)), expected);
        }
    }
}

#[test]
fn only_a_ready_order_can_be_finalized() {
    assert_eq!(Phase::Open.finalize(&[Valid], at(100), at(99)), Ok(()));
    for (phase, authorization, now, why) in [
        (Phase::Open, Pending, 99, "not all"),
        (Phase::Open, Invalid, 99, "failed"),
        (Phase::Open, Valid, 100, "expired"),
        (Phase::Processing, Valid, 99, "being made"),
        (Phase::Issued, Valid, 99, "is there"),
        (Phase::Failed, Valid, 99, "failed"),
    ] {
        let problem = phase.finalize(&[authorization], at(100), at(now)).expect_err(why);
        assert_eq!((problem.kind, problem.status), (ProblemType::OrderNotReady, 403));
        assert!(problem.detail.contains(why), "{}", problem.detail);
    }
}

#[test]
fn a_csr_names_exactly_what_the_order_does() {
    let names = |texts: &[&str]| -> Vec<_> {
        texts.iter().map(|text| ca::Identifier::parse(text).expect("test name")).collect()
    };
    let order = names(&["a.example", "*.a.example", "192.0.2.1"]);
    let same = names(&["192.0.2.1", "a.example", "*.a.example", "a.example"]);
    assert_eq!(check_names(&order, &same), Ok(()));
    for (csr, wrong) in [
        (&["a.example", "*.a.example"][..], &["192.0.2.1"][..]),
        (&["a.example", "*.a.example", "192.0.2.1", "b.example"], &["b.example"]),
        (&["a.example", "b.a.example", "192.0.2.1"], &["*.a.example", "b.a.example"]),
        (&[], &["a.example", "*.a.example", "192.0.2.1"]),
    ] {
        let problem = check_names(&order, &names(csr)).expect_err("refused");
        assert_eq!(problem.kind, ProblemType::BadCsr);
        let mut named: Vec<_> = problem
            .subproblems
            .iter()
            .map(|one| one.identifier.as_ref().expect("named").value.as_str())
            .collect();
        let mut wrong = wrong.to_vec();
        named.sort_unstable();
        wrong.sort_unstable();
        assert_eq!(named, wrong);
    }
}
