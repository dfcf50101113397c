//! Passkeys of people: registered in a session, and shown to sign in or to prove again who it is. What a
//! browser brings is judged in the crate `passkeys`; here is what becomes of it.

use data_encoding::BASE64URL_NOPAD;
use jiff::{SignedDuration, Timestamp};
use passkeys::{Algorithm, Assertion, ClientData, Credential, Refusal, Registration, RelyingParty};
use serde_json::{Value, json};
use url::{Host, Url};

use super::challenge::{GOOD_FOR, Purpose};
use super::error::EntryError;
use super::secret::Secret;
use super::session::{self, Entered, Visit};
use crate::node::Node;
use crate::store::{Actor, Commit, Event, PasskeyRow, PersonState, Row};

/// What a browser brings to prove that somebody holds a passkey.
pub(crate) struct Proof {
    /// What the authenticator calls the passkey.
    pub(crate) credential: Vec<u8>,
    pub(crate) client_data: Vec<u8>,
    pub(crate) authenticator_data: Vec<u8>,
    pub(crate) signature: Vec<u8>,
    /// Whom the authenticator takes it for, if it says.
    pub(crate) user: Option<Vec<u8>>,
}

/// What a browser is asked for a new passkey of the person (`PublicKeyCredentialCreationOptionsJSON`).
///
/// # Errors
/// When they may not have one now, or the store cannot be read.
pub(crate) fn creation_options(node: &Node, entered: &Entered) -> Result<Value, EntryError> {
    let known = may_register(node, entered)?;
    let party = relying_party(node)?;
    let challenge = node.challenges.make(&node.world, Purpose::Register(entered.session.hash));
    let algorithms = Algorithm::ALL.map(|a| json!({ "type": "public-key", "alg": a.number() }));
    Ok(json!({
        "challenge": BASE64URL_NOPAD.encode(&challenge),
        "rp": { "id": party.id, "name": "Perennial" },
        "user": {
            "id": BASE64URL_NOPAD.encode(&user_handle(entered.person.id)),
            "name": entered.person.name,
            "displayName": entered.person.display_name,
        },
        "pubKeyCredParams": algorithms,
        "excludeCredentials": known.iter().map(descriptor).collect::<Vec<_>>(),
        "authenticatorSelection": { "residentKey": "required", "userVerification": "required" },
        "attestation": "none",
        "timeout": GOOD_FOR.as_millis(),
    }))
}

/// Registers a passkey of the person. The session is another one then, and lasts as long as one can.
///
/// # Errors
/// Why it is not taken.
pub(crate) async fn register(
    node: &Node,
    actor: Actor,
    entered: &Entered,
    (name, registration): (&str, &Registration<'_>),
) -> Result<(Secret, Entered), EntryError> {
    may_register(node, entered)?;
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(EntryError::Name);
    }
    let now = node.world.now();
    let purpose = Purpose::Register(entered.session.hash);
    let challenge = answered(node, registration.client_data, purpose)?;
    let credential = relying_party(node)?.register(&challenge, registration)?;
    if !node.challenges.use_up(&challenge, now) {
        return Err(EntryError::Stale);
    }
    let row = PasskeyRow {
        id: node.store.id(),
        version: 0,
        person: entered.person.id,
        name: name.to_owned(),
        credential,
        created_at: now,
        used_at: now,
    };
    let detail = json!({
        "passkey": row.id, "name": name, "backup_eligible": row.credential.backup_eligible,
    });
    let event = Event::new(actor, "passkey.register", subject(entered)).with(detail);
    session::step_up(node, entered, Commit::new(event).put(row)).await
}

/// What a browser is asked for a proof (`PublicKeyCredentialRequestOptionsJSON`): for a sign-in by any
/// passkey, in a session by one of the person.
///
/// # Errors
/// When the store cannot be read, or the server has no name.
pub(crate) fn request_options(node: &Node, entered: Option<&Entered>) -> Result<Value, EntryError> {
    let party = relying_party(node)?;
    let (purpose, known) = match entered {
        None => (Purpose::SignIn, Vec::new()),
        Some(Entered { person, session, .. }) => {
            (Purpose::StepUp(session.hash), node.store.passkeys_of(person.id)?)
        }
    };
    Ok(json!({
        "challenge": BASE64URL_NOPAD.encode(&node.challenges.make(&node.world, purpose)),
        "rpId": party.id,
        "allowCredentials": known.iter().map(descriptor).collect::<Vec<_>>(),
        "userVerification": "required",
        "timeout": GOOD_FOR.as_millis(),
    }))
}

/// Signs somebody in by their passkey.
///
/// # Errors
/// Why not.
pub(crate) async fn sign_in(
    node: &Node,
    proof: &Proof,
    visit: &Visit,
) -> Result<(Secret, Entered), EntryError> {
    let row = node.store.passkey_by_credential(&proof.credential)?.ok_or(EntryError::Unknown)?;
    let person = node.store.person(row.person)?.ok_or(EntryError::Unknown)?;
    if person.state != PersonState::Active {
        return Err(EntryError::Unknown);
    }
    let actor = Actor::asked_by(&format!("person/{}", person.name), &visit.request);
    let used = proven(node, row, proof, (Purpose::SignIn, actor)).await?;
    session::begin(node, person, session::BY_PASSKEY, visit, Some(Row::from(used))).await
}

/// Proves that who has the session also holds a passkey of its person. The session is another one then.
///
/// # Errors
/// Why not.
pub(crate) async fn step_up(
    node: &Node,
    actor: Actor,
    entered: &Entered,
    proof: &Proof,
) -> Result<(Secret, Entered), EntryError> {
    let row = node.store.passkey_by_credential(&proof.credential)?;
    let row = row.filter(|row| row.person == entered.person.id).ok_or(EntryError::Unknown)?;
    let purpose = Purpose::StepUp(entered.session.hash);
    let used = proven(node, row, proof, (purpose, actor.clone())).await?;
    let detail = json!({ "session": entered.session.id, "passkey": used.id });
    let event = Event::new(actor, "session.step-up", subject(entered)).with(detail);
    session::step_up(node, entered, Commit::new(event).put(used)).await
}

/// Removes a passkey of the person; gives whether there was such a one.
///
/// # Errors
/// When they did not step up before, or the store fails.
pub(crate) async fn remove(
    node: &Node,
    actor: Actor,
    entered: &Entered,
    id: i64,
) -> Result<bool, EntryError> {
    stepped_up(node, entered)?;
    let mut own = node.store.passkeys_of(entered.person.id)?.into_iter();
    let Some(row) = own.find(|row| row.id == id) else { return Ok(false) };
    let detail = json!({ "passkey": row.id, "name": row.name });
    let event = Event::new(actor, "passkey.remove", subject(entered)).with(detail);
    node.store.commit(Commit::new(event).remove(&row), node.world.now()).await?;
    Ok(true)
}

/// Judges a proof and uses up its challenge. Gives the passkey as it is to be stored with what comes of it.
async fn proven(
    node: &Node,
    row: PasskeyRow,
    proof: &Proof,
    (purpose, actor): (Purpose, Actor),
) -> Result<PasskeyRow, EntryError> {
    // §7.2, step 6: an authenticator that says whom it takes the passkey for must be right.
    if proof.user.as_ref().is_some_and(|user| *user != user_handle(row.person)) {
        return Err(EntryError::Unknown);
    }
    let (challenge, now) = (answered(node, &proof.client_data, purpose)?, node.world.now());
    let assertion = Assertion {
        client_data: &proof.client_data,
        authenticator_data: &proof.authenticator_data,
        signature: &proof.signature,
    };
    let outcome = relying_party(node)?.authenticate(&challenge, &row.credential, &assertion);
    if outcome == Err(Refusal::Cloned) && node.challenges.use_up(&challenge, now) {
        // The signature was right: somebody else may have the key.
        let detail = json!({ "passkey": row.id, "why": Refusal::Cloned.to_string() });
        let event = Event::new(actor, "passkey.refuse", format!("passkey/{}", row.id));
        node.store.commit(Commit::new(event.with(detail)), now).await?;
    }
    let used = outcome?;
    if !node.challenges.use_up(&challenge, now) {
        return Err(EntryError::Stale);
    }
    let credential =
        Credential { sign_count: used.sign_count, backed_up: used.backed_up, ..row.credential };
    Ok(PasskeyRow { credential, used_at: now, ..row })
}

/// The challenge that is answered, if it was made here for this and is still good.
fn answered(node: &Node, client_data: &[u8], purpose: Purpose) -> Result<Vec<u8>, EntryError> {
    let challenge = ClientData::parse(client_data)?.challenge()?;
    let good = node.challenges.is_good(&challenge, purpose, node.world.now());
    if good { Ok(challenge) } else { Err(EntryError::Stale) }
}

/// The passkeys of a person who may have one more now. Whoever has one shows it first: a session that
/// somebody else got hold of is not to become a way in that stays.
fn may_register(node: &Node, entered: &Entered) -> Result<Vec<PasskeyRow>, EntryError> {
    let known = node.store.passkeys_of(entered.person.id)?;
    if known.len() >= MOST {
        return Err(EntryError::TooMany);
    }
    // Whoever came by a link may have lost what they had; an admin has vouched for them, once.
    let vouched =
        entered.session.way == session::BY_LINK && entered.session.stepped_up_at.is_none();
    if !known.is_empty() && !vouched {
        stepped_up(node, entered)?;
    }
    Ok(known)
}

fn stepped_up(node: &Node, entered: &Entered) -> Result<(), EntryError> {
    let now = node.world.now();
    let fresh = |at: Timestamp| at <= now && now.duration_since(at) < FRESH;
    if entered.session.stepped_up_at.is_some_and(fresh) { Ok(()) } else { Err(EntryError::StepUp) }
}

/// The server, as browsers know it. They bind passkeys to no addresses.
fn relying_party(node: &Node) -> Result<RelyingParty, EntryError> {
    let url = Url::parse(&node.https_url).map_err(|_| EntryError::NoName)?;
    match url.host() {
        Some(Host::Domain(name)) => {
            Ok(RelyingParty { id: name.to_owned(), origin: url.origin().ascii_serialization() })
        }
        _ => Err(EntryError::NoName),
    }
}

fn descriptor(row: &PasskeyRow) -> Value {
    json!({ "type": "public-key", "id": BASE64URL_NOPAD.encode(&row.credential.id) })
}

/// What authenticators know a person by: it says nothing about them.
fn user_handle(person: i64) -> [u8; 8] {
    person.to_be_bytes()
}

fn subject(entered: &Entered) -> String {
    format!("person/{}", entered.person.name)
}

/// How long a proof counts as just given.
const FRESH: SignedDuration = SignedDuration::from_mins(10);
/// Of one person.
const MOST: usize = 10;
const MAX_NAME: usize = 60;
