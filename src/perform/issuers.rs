//! Our account at each issuer outside: restored from the store, registered where there is none, and
//! given a new key.

use serde_json::json;
use tracing::info;

use super::obtain::acme::{AcmeSpec, Client, ObtainError, account};
use crate::node::Node;
use crate::store::{ClientAccountRow, Commit, CommitError, Event, ReadError};

/// Our account at an issuer: at hand, or restored from the store, or registered and stored.
///
/// # Errors
/// When the issuer is down or refuses, or the store fails.
pub(crate) async fn client(node: &Node, spec: &AcmeSpec) -> Result<Client, IssuerError> {
    if let Some(client) = node.issuers.client(spec) {
        return Ok(client);
    }
    // Ten thousand certificates that are due at once register one account.
    let _alone = node.steps.alone(&identity(&spec.name)).await;
    if let Some(client) = node.issuers.client(spec) {
        return Ok(client);
    }
    let row = node.store.client_account(&spec.name)?;
    let stored = match &row {
        Some(row) => Some(node.key.open(&identity(&spec.name), &row.sealed_credentials)?),
        None => None,
    };
    let (client, fresh) = account(spec, stored.as_ref()).await?;
    if let Some(credentials) = fresh {
        keep(node, spec, row, &client, &credentials).await?;
    }
    node.issuers.keep(spec, &client);
    Ok(client)
}

/// Gives our account at an issuer a new key (RFC 8555 §7.3.5).
///
/// # Errors
/// When the issuer is down or refuses, or the store fails.
pub(crate) async fn roll_key(node: &Node, spec: &AcmeSpec) -> Result<(), IssuerError> {
    let mut client = client(node, spec).await?;
    let _alone = node.steps.alone(&identity(&spec.name)).await;
    let credentials = client.roll_key().await?;
    let row = node.store.client_account(&spec.name)?;
    keep(node, spec, row, &client, &credentials).await?;
    node.issuers.keep(spec, &client);
    Ok(())
}

async fn keep(
    node: &Node,
    spec: &AcmeSpec,
    row: Option<ClientAccountRow>,
    client: &Client,
    credentials: &crate::seal::Secret,
) -> Result<(), IssuerError> {
    let now = node.world.now();
    let sealed_credentials = node.key.seal(&node.world, &identity(&spec.name), credentials);
    let action = if row.is_some() { "issuer.update" } else { "issuer.register" };
    let row = match row {
        Some(row) => ClientAccountRow { sealed_credentials, ..row },
        None => ClientAccountRow {
            id: node.store.id(),
            version: 0,
            issuer: spec.name.clone(),
            sealed_credentials,
            created_at: now,
        },
    };
    let event = Event::new("worker", action, identity(&spec.name))
        .with(json!({ "directory": spec.directory, "account": client.id() }));
    info!(issuer = spec.name, account = client.id(), "{action}");
    Ok(node.store.commit(Commit::new(event).put(row), now).await?)
}

/// What an issuer is called in the audit log, and its credentials when sealed.
fn identity(name: &str) -> String {
    format!("issuer/{name}")
}

/// Our account at an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuerError {
    #[error(transparent)]
    Obtain(#[from] ObtainError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error(transparent)]
    Seal(#[from] crate::seal::Unsealable),
}
