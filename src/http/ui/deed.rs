//! The actions that pages offer: what each does to what it is done to, said in advance from what stands now, and
//! what the API is asked for.

use pages::{Choice, Deed, Field, Section, segment};
use renew::wave::waves;
use serde_json::{Map, Value, json};

use super::desk::{Desk, Trouble};
use crate::access::Action;

/// An action that somebody may do, with what will happen.
pub(super) struct Planned {
    pub(super) title: String,
    pub(super) section: Section,
    /// Where it is done, under the API.
    pub(super) api: String,
    /// Where one comes from and goes back to.
    pub(super) back: String,
    /// What the page then says, by its name.
    pub(super) done: &'static str,
    path: String,
    button: &'static str,
    grave: bool,
    consequences: Vec<String>,
    fixed: Value,
    reasons: &'static [(&'static str, &'static str)],
    versions: Vec<(String, String)>,
}

/// What will happen if `verb` is done to the thing of this kind and name.
///
/// # Errors
/// When there is no such action or thing, or it may not be done.
pub(super) async fn plan(
    desk: &Desk,
    (kind, name, verb): (&str, &str, &str),
) -> Result<Planned, Trouble> {
    match (kind, verb) {
        ("certificates", "renew") => renewal(desk, name, false).await,
        ("certificates", "emergency") => renewal(desk, name, true).await,
        ("certificates", "rollback") => roll_back(desk, name).await,
        ("keysets", "rotate" | "emergency" | "rollback") => keyset(desk, name, verb).await,
        ("issued", "revoke") => revocation(desk, name).await,
        ("tokens", "revoke") => token(desk, name),
        ("receivers", "test") => receiver(desk, name),
        _ => Err(Trouble::missing()),
    }
}

impl Planned {
    fn new((section, page, api): (Section, &str, &str), name: &str, verb: &str) -> Self {
        let name = segment(name);
        Self {
            title: String::new(),
            section,
            api: format!("{api}/{name}/{verb}"),
            back: format!("{page}/{name}"),
            done: "renew",
            path: format!("{page}/{name}/{verb}"),
            button: "",
            grave: false,
            consequences: Vec::new(),
            fixed: json!({}),
            reasons: &[],
            versions: Vec::new(),
        }
    }

    /// What the API is sent, with what a form chose from what was offered.
    pub(super) fn body(&self, form: &[(String, String)]) -> Value {
        let said = |name: &str| form.iter().find(|(known, _)| known == name).map(|(_, v)| v);
        let mut body: Map<String, Value> = self.fixed.as_object().cloned().unwrap_or_default();
        let reason = said("reason").filter(|chosen| self.reasons.iter().any(|(r, _)| r == chosen));
        if let Some(reason) = reason {
            body.insert("reason".into(), reason.as_str().into());
        }
        let version = said("to").filter(|chosen| self.versions.iter().any(|(v, _)| v == *chosen));
        if let Some(version) = version.and_then(|version| version.parse::<u32>().ok()) {
            body.insert("to".into(), version.into());
        }
        Value::Object(body)
    }

    /// As the page shows it.
    pub(super) fn deed<'a>(&'a self, error: Option<&'a str>) -> Deed<'a> {
        let values = self.versions.as_slice();
        let choice =
            (!values.is_empty()).then_some(Choice { name: "to", label: "Version", values });
        Deed {
            title: &self.title,
            consequences: &self.consequences,
            action: &self.path,
            button: self.button,
            back: &self.back,
            grave: self.grave,
            reasons: self.reasons,
            choice,
            error,
        }
    }
}

async fn renewal(desk: &Desk, name: &str, emergency: bool) -> Result<Planned, Trouble> {
    let action = if emergency { Action::ManagedRenewEmergency } else { Action::ManagedRenew };
    permitted(desk, action, ("managed", name))?;
    let shown = desk.get(&format!("/managed/{}", segment(name))).await?;
    let verb = if emergency { "emergency" } else { "renew" };
    let mut planned = Planned::new((Section::Managed, "/certificates", "/managed"), name, verb);
    planned.api = format!("/managed/{}/renew", segment(name));
    planned.done = verb;
    planned.consequences = rollout(desk, name, &shown);
    if emergency {
        planned.title = format!("Emergency renewal of {name}");
        planned.button = "Renew now and revoke";
        planned.grave = true;
        planned.fixed = json!({ "emergency": true });
        planned.reasons = &EMERGENCIES;
        planned.consequences.insert(0, "It does not wait for maintenance windows.".into());
        planned.consequences.push(
            "The version before is revoked as soon as every target is proven, and never served again."
                .into(),
        );
    } else {
        planned.title = format!("Renew {name}");
        planned.button = "Renew";
        planned
            .consequences
            .push("The version before is kept, and put back if a target fails.".into());
    }
    Ok(planned)
}

/// From where the next version comes, and in which order the targets get it.
fn rollout(desk: &Desk, name: &str, shown: &Value) -> Vec<String> {
    let catalog = desk.node().catalog.load();
    let Some(spec) = catalog.certificates.get(name).map(|certificate| &certificate.spec) else {
        return vec!["It is not declared any more: nothing will be done.".into()];
    };
    let number = shown.list("versions").iter().map(|version| version.number("version")).max();
    let number = number.unwrap_or_default() + 1;
    let mut lines =
        vec![format!("Version {number} is obtained from {}.", spec.issuers.join(", else from "))];
    let targets: Vec<&str> = spec.targets.iter().map(String::as_str).collect();
    let order = waves(&targets, &spec.canary, spec.wave);
    for (at, wave) in order.iter().enumerate() {
        let named = wave.iter().filter_map(|place| targets.get(*place)).copied();
        let (named, more) =
            (named.take(5).collect::<Vec<_>>().join(", "), wave.len().saturating_sub(5));
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        lines.push(match at {
            0 => format!("It is put on {named}{more} first, and proven there by handshake."),
            _ if at < MAX_WAVES => format!("Then on {named}{more}, and proven there."),
            MAX_WAVES => {
                format!("Then in {} more waves, each proven before the next.", order.len() - at)
            }
            _ => continue,
        });
    }
    if targets.is_empty() {
        lines.push("It has no targets: whoever pulls it gets the new version.".into());
    }
    lines
}

async fn roll_back(desk: &Desk, name: &str) -> Result<Planned, Trouble> {
    permitted(desk, Action::ManagedRollBack, ("managed", name))?;
    let shown = desk.get(&format!("/managed/{}", segment(name))).await?;
    let mut planned =
        Planned::new((Section::Managed, "/certificates", "/managed"), name, "rollback");
    let now = desk.node().world.now();
    let usable = |version: &&Value| {
        !matches!(version.text("status"), "current" | "revoked")
            && version.moment("not_after").is_some_and(|end| end > now)
    };
    let option = |version: &Value| {
        let number = version.number("version").to_string();
        let said = format!("v{number}, ends {}", version.text("not_after"));
        (number, said)
    };
    planned.versions = shown.list("versions").iter().filter(usable).map(option).collect();
    planned.title = format!("Roll {name} back");
    planned.button = "Roll back";
    planned.done = "rollback";
    planned.consequences = vec![
        "The version you choose is put on every target again, the canary first, and proven by handshake."
            .into(),
        "What is served now is held: it comes back only when you renew, or declare something else.".into(),
    ];
    Ok(planned)
}

async fn keyset(desk: &Desk, name: &str, verb: &str) -> Result<Planned, Trouble> {
    let action = match verb {
        "rotate" => Action::KeysetRotate,
        "emergency" => Action::KeysetRotateEmergency,
        _ => Action::KeysetRollBack,
    };
    permitted(desk, action, ("keyset", name))?;
    let shown = desk.get(&format!("/keysets/{}", segment(name))).await?;
    let mut planned = Planned::new((Section::Keysets, "/keysets", "/keysets"), name, verb);
    let lines = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect();
    match verb {
        "rotate" => {
            planned.title = format!("Rotate {name}");
            planned.button = "Rotate";
            planned.done = "rotate";
            planned.consequences = vec![
                format!("The next key is announced now, and signs after {}.", shown.text("lead")),
                format!("The key that signs now then verifies for {}.", shown.text("retirement")),
            ];
        }
        "emergency" => {
            planned.api = format!("/keysets/{}/rotate", segment(name));
            planned.title = format!("Emergency rotation of {name}");
            planned.button = "Replace the key now";
            planned.grave = true;
            planned.done = "emergency";
            planned.fixed = json!({ "emergency": true });
            planned.consequences = lines(&REPLACED);
            let exposure = shown.list("exposure").iter().filter_map(Value::as_str);
            planned.consequences.extend(exposure.map(ToOwned::to_owned));
        }
        _ => {
            planned.title = format!("Withdraw the announced key of {name}");
            planned.button = "Withdraw";
            planned.done = "withdraw";
            planned.consequences = lines(&WITHDRAWN);
        }
    }
    Ok(planned)
}

async fn revocation(desk: &Desk, serial: &str) -> Result<Planned, Trouble> {
    let shown = desk.get(&format!("/certificates/{}", segment(serial))).await?;
    let serial = shown.text("serial");
    permitted(desk, Action::CertificateRevoke, ("certificate", serial))?;
    let names = shown.joined("names", ", ");
    let mut planned = Planned::new((Section::Issued, "/issued", "/certificates"), serial, "revoke");
    planned.title = format!("Revoke the certificate of {names}");
    planned.button = "Revoke";
    planned.grave = true;
    planned.done = "revoke";
    planned.reasons = &REASONS;
    planned.consequences = vec![
        format!("Serial {serial} is on the CRL of {} within seconds.", shown.text("authority")),
        "Whoever checks that CRL refuses the certificate once they have fetched it anew; others do not learn of it."
            .into(),
        "It cannot be taken back. After key compromise, the key is never certified again.".into(),
    ];
    Ok(planned)
}

fn token(desk: &Desk, name: &str) -> Result<Planned, Trouble> {
    permitted(desk, Action::TokenRevoke, ("token", name))?;
    let mut planned = Planned::new((Section::Access, "/access/tokens", "/tokens"), name, "revoke");
    planned.back = "/access".into();
    planned.title = format!("Revoke the token {name}");
    planned.button = "Revoke";
    planned.grave = true;
    planned.done = "revoke";
    planned.consequences = vec![
        "Whoever holds it is refused from the next request on.".into(),
        "It cannot be taken back, and its name is not given again.".into(),
    ];
    Ok(planned)
}

fn receiver(desk: &Desk, name: &str) -> Result<Planned, Trouble> {
    permitted(desk, Action::ReceiverTest, ("receiver", name))?;
    let place = (Section::Access, "/access/receivers", "/receivers");
    let mut planned = Planned::new(place, name, "test");
    planned.back = "/access".into();
    planned.title = format!("Send {name} a test");
    planned.button = "Send";
    planned.done = "test";
    planned.consequences = vec![
        "One message is sent now that says it is a test; you are told what was answered.".into(),
    ];
    Ok(planned)
}

/// Who may not is told so before anything is shown; the API asks again when it is done.
fn permitted(desk: &Desk, action: Action, thing: (&'static str, &str)) -> Result<(), Trouble> {
    if desk.powers(&[action], thing).has(action.name()) {
        return Ok(());
    }
    Err(Trouble {
        status: axum::http::StatusCode::FORBIDDEN,
        detail: format!(
            "You may not do this ({}); ask an admin for a role that includes it.",
            action.name()
        ),
    })
}

/// Waves that are named one by one.
const MAX_WAVES: usize = 4;
const REPLACED: [&str; 2] = [
    "The key that signs is taken out at once: its tokens are refused wherever the keyset is fetched anew.",
    "A key that nobody has seen signs at once: who has the old keyset refuses its tokens until they fetch.",
];
const WITHDRAWN: [&str; 2] = [
    "A key that is announced and has not signed is taken out; the one that signs goes on.",
    "If none is announced, and the key before is still kept, that one signs again.",
];
const REASONS: [(&str, &str); 5] = [
    ("superseded", "it was replaced"),
    ("keyCompromise", "its key is known to others"),
    ("cessationOfOperation", "it is not used any more"),
    ("affiliationChanged", "its names belong to others now"),
    ("unspecified", "another reason"),
];
const EMERGENCIES: [(&str, &str); 3] = [
    ("keyCompromise", "its key is known to others"),
    ("superseded", "it must be replaced now"),
    ("unspecified", "another reason"),
];
