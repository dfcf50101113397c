//! The pages that show something: what each asks the API for, and who may do what to it.

use axum::body::Body;
use axum::extract::Path;
use axum::http::Response;
use pages::{Access, Field, Listed, Markup, Section, segment};
use serde_json::Value;

use super::desk::{Desk, Place, Trouble};
use crate::access::Action as A;

type Shown = Response<Body>;

pub(super) async fn overview(desk: Desk) -> Shown {
    let live = &["managed", "keyset", "endpoint", "authority", "certificate", "notification"];
    let place = Place("Overview", Section::Overview, live);
    let content = async {
        let (status, figures) = (desk.get("/status").await?, desk.get("/overview").await?);
        Ok(pages::overview(&desk.frame(&place), &status, &figures))
    };
    desk.answer(&place, content.await)
}

pub(super) async fn managed(desk: Desk) -> Shown {
    let place = Place("Certificates", Section::Managed, &["managed"]);
    let answer = desk.list("/managed", &[]).await;
    listing(&desk, &place, answer, pages::managed)
}

pub(super) async fn managed_one(Path(name): Path<String>, desk: Desk) -> Shown {
    let place = Place(&name, Section::Managed, &["managed"]);
    let content = async {
        let shown = desk.get(&format!("/managed/{}", segment(&name))).await?;
        let actions = [A::ManagedRenew, A::ManagedRenewEmergency, A::ManagedRollBack];
        let powers = desk.powers(&actions, ("managed", &name));
        Ok(pages::managed_one(&desk.frame(&place), &powers, &shown))
    };
    desk.answer(&place, content.await)
}

pub(super) async fn issued(desk: Desk) -> Shown {
    let place = Place("Issued certificates", Section::Issued, &[]);
    let answer = desk.list("/certificates", &["names", "expiring_within"]).await;
    listing(&desk, &place, answer, pages::issued)
}

pub(super) async fn issued_one(Path(serial): Path<String>, desk: Desk) -> Shown {
    let place = Place(&serial, Section::Issued, &["certificate"]);
    let content = async {
        let shown = desk.get(&format!("/certificates/{}", segment(&serial))).await?;
        let known = shown.text("serial");
        let powers = desk.powers(&[A::CertificateRevoke], ("certificate", known));
        let about = segment(&format!("certificate/{known}"));
        let events = desk.maybe(&format!("/events?subject={about}")).await?;
        Ok(pages::issued_one(&desk.frame(&place), &powers, &shown, events.as_ref()))
    };
    desk.answer(&place, content.await)
}

pub(super) async fn keysets(desk: Desk) -> Shown {
    let place = Place("Keysets", Section::Keysets, &["keyset"]);
    let answer = desk.list("/keysets", &[]).await;
    listing(&desk, &place, answer, pages::keysets)
}

pub(super) async fn keyset(Path(name): Path<String>, desk: Desk) -> Shown {
    let place = Place(&name, Section::Keysets, &["keyset"]);
    let content = async {
        let path = format!("/keysets/{}", segment(&name));
        let shown = desk.get(&path).await?;
        // A keyset that is declared and has no key yet has no status.
        let status = desk.get(&format!("{path}/status")).await.ok();
        let actions = [A::KeysetRotate, A::KeysetRotateEmergency, A::KeysetRollBack];
        let powers = desk.powers(&actions, ("keyset", &name));
        Ok(pages::keyset(&desk.frame(&place), &powers, &shown, status.as_ref()))
    };
    desk.answer(&place, content.await)
}

pub(super) async fn authorities(desk: Desk) -> Shown {
    let place = Place("Authorities", Section::Authorities, &["authority"]);
    let answer = desk.get("/authorities").await;
    desk.answer(&place, answer.map(|answer| pages::authorities(&desk.frame(&place), &answer)))
}

pub(super) async fn authority(Path(name): Path<String>, desk: Desk) -> Shown {
    let place = Place(&name, Section::Authorities, &["authority"]);
    let answer = desk.get(&format!("/authorities/{}", segment(&name))).await;
    desk.answer(&place, answer.map(|answer| pages::authority(&desk.frame(&place), &answer)))
}

pub(super) async fn targets(desk: Desk) -> Shown {
    let place = Place("Targets", Section::Targets, &["managed", "placement", "target"]);
    let content = async {
        let (answer, drifted) =
            (desk.get("/targets").await?, desk.get("/placements?wrong=true&limit=100").await?);
        let listed = Listed { answer: &answer, asked: &desk.query };
        Ok(pages::targets(&desk.frame(&place), &listed, &drifted))
    };
    desk.answer(&place, content.await)
}

pub(super) async fn target(Path(name): Path<String>, desk: Desk) -> Shown {
    let place = Place(&name, Section::Targets, &["managed", "placement", "target"]);
    let content = async {
        let shown = desk.get(&format!("/targets/{}", segment(&name))).await?;
        let after = segment(desk.asked("after"));
        let after = if after.is_empty() { String::new() } else { format!("&after={after}") };
        let path = format!("/placements?limit=50&target={}{after}", segment(&name));
        let answer = desk.get(&path).await?;
        let listed = Listed { answer: &answer, asked: &desk.query };
        Ok(pages::target(&desk.frame(&place), &shown, &listed))
    };
    desk.answer(&place, content.await)
}

pub(super) async fn found(desk: Desk) -> Shown {
    let place = Place("Found certificates", Section::Found, &["scan", "found"]);
    let answer = desk.list("/found", &["owner", "expiring_within"]).await;
    listing(&desk, &place, answer, pages::found)
}

pub(super) async fn found_one(Path(id): Path<String>, desk: Desk) -> Shown {
    let place = Place("Found certificate", Section::Found, &[]);
    let answer = desk.get(&format!("/found/{}", segment(&id))).await;
    desk.answer(&place, answer.map(|answer| pages::found_one(&desk.frame(&place), &answer)))
}

pub(super) async fn endpoints(desk: Desk) -> Shown {
    let place = Place("Endpoints", Section::Endpoints, &["endpoint"]);
    let answer = desk.get("/endpoints").await;
    listing(&desk, &place, answer, pages::endpoints)
}

pub(super) async fn endpoint(Path(name): Path<String>, desk: Desk) -> Shown {
    let place = Place(&name, Section::Endpoints, &["endpoint"]);
    let answer = desk.get(&format!("/endpoints/{}", segment(&name))).await;
    desk.answer(&place, answer.map(|answer| pages::endpoint(&desk.frame(&place), &answer)))
}

pub(super) async fn audit(desk: Desk) -> Shown {
    let place = Place("Audit", Section::Audit, &["all"]);
    let mut path = "/events?limit=100".to_owned();
    for name in ["subject", "before"] {
        if !desk.asked(name).is_empty() {
            path = format!("{path}&{name}={}", segment(desk.asked(name)));
        }
    }
    let answer = desk.get(&path).await;
    listing(&desk, &place, answer, pages::audit)
}

pub(super) async fn event(Path(id): Path<i64>, desk: Desk) -> Shown {
    let title = format!("Event {id}");
    let place = Place(&title, Section::Audit, &[]);
    let content = async {
        let path = format!("/events?limit=1&before={}", id.saturating_add(1));
        let answer = desk.get(&path).await?;
        let event = answer.list("items").iter().find(|event| event.number("id") == id);
        let event = event.ok_or_else(Trouble::missing)?;
        let proof = desk.get(&format!("/audit/proofs/{id}")).await.ok();
        Ok(pages::event(&desk.frame(&place), event, proof.as_ref()))
    };
    desk.answer(&place, content.await)
}

pub(super) async fn access(desk: Desk) -> Shown {
    let place = Place("Access", Section::Access, &["token", "person", "session"]);
    let content = async {
        let tokens = desk.maybe("/tokens?limit=500").await?;
        let people = desk.maybe("/people?limit=500").await?;
        let receivers = desk.maybe("/receivers").await?;
        if tokens.is_none() && people.is_none() {
            // Who may see neither is told by whoever decided so.
            desk.get("/tokens").await?;
        }
        let of = Access {
            tokens: tokens.as_ref(),
            people: people.as_ref(),
            receivers: receivers.as_ref(),
        };
        let powers = desk.powers_anywhere(&[A::TokenRevoke, A::ReceiverTest]);
        Ok(pages::access(&desk.frame(&place), &powers, &of))
    };
    desk.answer(&place, content.await)
}

fn listing(
    desk: &Desk,
    place: &Place<'_>,
    answer: Result<Value, Trouble>,
    page: impl Fn(&pages::Frame<'_>, &Listed<'_>) -> Markup,
) -> Shown {
    let content = answer.map(|answer| {
        let listed = Listed { answer: &answer, asked: &desk.query };
        page(&desk.frame(place), &listed)
    });
    desk.answer(place, content)
}
