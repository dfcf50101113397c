//! How the issuers outside stand while the node runs: our account at each, at hand, and which are left
//! alone because they are down or asked for it. Nothing of it is stored.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::acme::{AcmeSpec, Client};

/// What is known of the issuers outside.
#[derive(Default)]
pub(crate) struct Issuers(Mutex<HashMap<String, State>>);

#[derive(Default)]
struct State {
    client: Option<(AcmeSpec, Client)>,
    resting: Option<(Timestamp, String)>,
}

impl Issuers {
    /// Leaves an issuer alone until then; `why` is what it said.
    pub(crate) fn rest(&self, name: &str, until: Timestamp, why: String) {
        lock(&self.0).entry(name.to_owned()).or_default().resting = Some((until, why));
    }

    /// Whether an issuer may be asked now, or until when, and why, it is left alone. After a rest one
    /// asks, and the others wait for what comes of it: what is down does not come back to a crowd.
    pub(crate) fn ask(&self, name: &str, now: Timestamp) -> Result<(), (Timestamp, String)> {
        let mut states = lock(&self.0);
        let Some(resting) = states.get_mut(name).and_then(|state| state.resting.as_mut()) else {
            return Ok(());
        };
        if resting.0 > now {
            return Err(resting.clone());
        }
        resting.0 = now + TRIAL;
        Ok(())
    }

    /// An issuer answered as it should: everybody may ask it.
    pub(crate) fn stands(&self, name: &str) {
        if let Some(state) = lock(&self.0).get_mut(name) {
            state.resting = None;
        }
    }

    /// Until when, and why, an issuer is left alone.
    pub(crate) fn resting(&self, name: &str, now: Timestamp) -> Option<(Timestamp, String)> {
        lock(&self.0).get(name)?.resting.clone().filter(|(until, _)| *until > now)
    }

    pub(in crate::perform) fn client(&self, spec: &AcmeSpec) -> Option<Client> {
        let states = lock(&self.0);
        let (known, client) = states.get(&spec.name)?.client.as_ref()?;
        (known == spec).then(|| client.clone())
    }

    pub(in crate::perform) fn keep(&self, spec: &AcmeSpec, client: &Client) {
        let mut states = lock(&self.0);
        let state = states.entry(spec.name.clone()).or_default();
        state.client = Some((spec.clone(), client.clone()));
        state.resting = None;
    }
}

/// How long the first who asks after a rest is waited for.
const TRIAL: SignedDuration = SignedDuration::from_mins(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is known is as good after a panic as before it.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
