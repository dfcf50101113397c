//! Signing in at an identity provider (OpenID Connect, code flow with PKCE). What is known of a flow under way
//! is in the browser that it is in: a cookie holds a ticket that only we can make, and `state`, `nonce` and
//! the PKCE verifier are derived from it. So strangers who begin flows cost no memory, and an answer is good
//! in the browser that asked and nowhere else.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::{constant_time, hmac};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value, json};
use url::Url;

use super::challenge::Purpose;
use super::error::EntryError;
use super::secret::Secret;
use super::session::{self, Entered, Visit};
use crate::catalog::{IdentityProviderSpec, check_name};
use crate::node::Node;
use crate::perform::identity_provider::{self as there, Metadata};
use crate::store::{IdentityRow, PersonRow, PersonState, Row};

/// A flow that a browser is in.
pub(crate) struct Ticket(Vec<u8>);

impl Ticket {
    /// What the cookie says.
    pub(crate) fn reveal(&self) -> String {
        BASE64URL_NOPAD.encode(&self.0)
    }

    /// What a cookie says, if it has the form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let decoded = (text.len() <= MAX_TICKET).then(|| BASE64URL_NOPAD.decode(text.as_bytes()));
        decoded?.ok().map(Self)
    }

    fn derived(&self, what: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.0);
        BASE64URL_NOPAD.encode(hmac::sign(&key, what.as_bytes()).as_ref())
    }
}

/// What a provider's answer says (RFC 6749 §4.1.2, RFC 9207).
#[derive(Debug, Default, serde::Deserialize)]
pub(crate) struct Answered {
    #[serde(default)]
    code: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    iss: Option<String>,
    #[serde(default)]
    error: Option<String>,
}

/// Begins a flow at a provider: what the browser is to keep, and where it is to go.
///
/// # Errors
/// When there is no such provider, or it does not answer.
pub(crate) async fn begin(node: &Node, name: &str) -> Result<(Ticket, Url), EntryError> {
    let spec = declared(node, name)?;
    let metadata = there::metadata(node, &spec).await.map_err(|why| failed(name, &why))?;
    let ticket = Ticket(node.challenges.make(&node.world, purpose(name)));
    let scope = ["openid"].into_iter().chain(spec.scopes.iter().map(String::as_str));
    let verifier = ticket.derived(VERIFIER);
    // RFC 7636 §4.2.
    let challenge = BASE64URL_NOPAD.encode(digest(&SHA256, verifier.as_bytes()).as_ref());
    let mut url = metadata.authorization_endpoint;
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &spec.client_id)
        .append_pair("redirect_uri", &redirect_uri(node, name))
        .append_pair("scope", &scope.collect::<Vec<_>>().join(" "))
        .append_pair("state", &ticket.derived(STATE))
        .append_pair("nonce", &ticket.derived(NONCE))
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    Ok((ticket, url))
}

/// Ends a flow: signs in whom the provider says, if the answer is one to this browser's question.
///
/// # Errors
/// Why nobody is let in.
pub(crate) async fn end(
    node: &Node,
    name: &str,
    (ticket, answered): (&Ticket, &Answered),
    visit: &Visit,
) -> Result<(Secret, Entered), EntryError> {
    let (spec, now) = (declared(node, name)?, node.world.now());
    let state = ticket.derived(STATE);
    let same = constant_time::verify_slices_are_equal(state.as_bytes(), answered.state.as_bytes());
    if same.is_err() || !node.challenges.is_good(&ticket.0, purpose(name), now) {
        return Err(EntryError::Stale);
    }
    // RFC 9207 §2.4: the answer of another provider is not taken for this one's.
    if answered.iss.as_ref().is_some_and(|iss| *iss != spec.issuer) {
        return Err(failed(name, "the answer is of another issuer"));
    }
    if answered.error.is_some() || answered.code.is_empty() || answered.code.len() > MAX_CODE {
        return Err(failed(name, "it answered without a code"));
    }
    let claims = claims(node, &spec, ticket, &answered.code).await?;
    if !node.challenges.use_up(&ticket.0, now) {
        return Err(EntryError::Stale);
    }
    let (person, identity) = person(node, &spec, &claims)?;
    session::begin(node, person, &spec.name, visit, identity.map(Row::from)).await
}

/// What the provider says of who signed in there.
async fn claims(
    node: &Node,
    spec: &IdentityProviderSpec,
    ticket: &Ticket,
    code: &str,
) -> Result<Map<String, Value>, EntryError> {
    let told = |why: String| failed(&spec.name, &why);
    let metadata: Metadata = there::metadata(node, spec).await.map_err(told)?;
    let redirect = redirect_uri(node, &spec.name);
    let asked = (code, ticket.derived(VERIFIER), redirect.as_str());
    let token = there::exchange(node, spec, &metadata, asked).await.map_err(told)?;
    let keys = there::keys(node, spec, &metadata).await.map_err(told)?;
    let expected = jwks::id_token::Expected {
        issuer: &spec.issuer,
        client: &spec.client_id,
        nonce: &ticket.derived(NONCE),
        now: node.world.now(),
    };
    jwks::id_token::verify(&token, &keys, &expected).map_err(|why| told(why.to_string()))
}

/// Who that is here, with the roles that their groups give them, and what ties them to the provider if they
/// were not known. A name that somebody else has already is not given to them.
fn person(
    node: &Node,
    spec: &IdentityProviderSpec,
    claims: &Map<String, Value>,
) -> Result<(PersonRow, Option<IdentityRow>), EntryError> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let groups = groups(claims.get(&spec.groups_claim));
    let roles = spec.admitted(&groups).ok_or(EntryError::NotAdmitted)?;
    let groups = groups.into_iter().filter(|group| check_name(group).is_ok()).take(MAX_GROUPS);
    let (subject, now) = (text("sub").unwrap_or_default(), node.world.now());
    let display =
        text("name").filter(|name| name.len() <= 120 && !name.chars().any(char::is_control));
    let known = node.store.identity(&spec.issuer, subject)?;
    let (person, identity) = match known {
        Some(identity) => (node.store.person(identity.person)?.ok_or(EntryError::Unknown)?, None),
        None => {
            let person = newcomer(node, spec, claims)?;
            let identity = IdentityRow {
                id: node.store.id(),
                version: 0,
                issuer: spec.issuer.clone(),
                subject: subject.to_owned(),
                person: person.id,
                created_at: now,
            };
            (person, Some(identity))
        }
    };
    if person.state != PersonState::Active {
        return Err(EntryError::NotAdmitted);
    }
    let display_name = display.map_or(person.display_name, ToOwned::to_owned);
    Ok((PersonRow { roles, groups: groups.collect(), display_name, ..person }, identity))
}

/// Somebody who comes for the first time.
fn newcomer(
    node: &Node,
    spec: &IdentityProviderSpec,
    claims: &Map<String, Value>,
) -> Result<PersonRow, EntryError> {
    let name = claims.get(&spec.name_claim).and_then(Value::as_str).unwrap_or_default();
    // An address that nobody has looked at can be anybody's.
    let unverified =
        spec.name_claim == "email" && claims.get("email_verified") == Some(&json!(false));
    let name = name.to_ascii_lowercase();
    if unverified || super::check_person_name(&name).is_err() {
        return Err(failed(&spec.name, "it does not say how this person can be called here"));
    }
    if node.store.person_by_name(&name)?.is_some() {
        return Err(EntryError::Taken);
    }
    Ok(PersonRow {
        id: node.store.id(),
        version: 0,
        display_name: name.clone(),
        name,
        roles: Vec::new(),
        groups: Vec::new(),
        state: PersonState::Active,
        created_at: node.world.now(),
        entered_at: None,
        invitation: None,
    })
}

/// The groups in a claim: a list, or one.
fn groups(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).map(ToOwned::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

fn declared(node: &Node, name: &str) -> Result<std::sync::Arc<IdentityProviderSpec>, EntryError> {
    node.catalog.load().identity_providers.get(name).cloned().ok_or(EntryError::NoProvider)
}

/// The log says why; strangers are not told.
fn failed(name: &str, why: &str) -> EntryError {
    tracing::warn!(provider = name, why, "nobody was signed in by an identity provider");
    EntryError::Provider
}

fn purpose(name: &str) -> Purpose {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, name.as_bytes()).as_ref());
    Purpose::Provider(hash)
}

fn redirect_uri(node: &Node, name: &str) -> String {
    format!("{}/sign-in/{name}/callback", node.https_url)
}

const STATE: &str = "state";
const NONCE: &str = "nonce";
const VERIFIER: &str = "verifier";
const MAX_TICKET: usize = 200;
const MAX_CODE: usize = 4096;
const MAX_GROUPS: usize = 100;
