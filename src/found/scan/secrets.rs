//! Looking into clusters: the certificates of TLS Secrets, and who keeps them. Keys are never kept.

use cluster::{Access, Connection, Keeper, SecretScan, SeenSecret};
use tokio::sync::mpsc::Sender;

use super::Request;
use super::files::{chains, decode, pem_blocks};
use super::plan::Cluster;
use crate::found::finding::Finding;

/// Looks at every TLS Secret of a cluster or of one namespace.
pub(super) async fn look(at: &Cluster, request: &Request, findings: &Sender<Finding>) {
    let context = at.context.as_deref().unwrap_or("cluster");
    let place = match &at.namespace {
        Some(namespace) => format!("secret://{context}/{namespace}"),
        None => format!("secret://{context}"),
    };
    if let Err(why) = look_at_all(at, context, request, findings).await {
        // Who reads is gone only when the scan is.
        let _ = findings.send(Finding::nothing(place, why)).await;
    }
}

async fn look_at_all(
    at: &Cluster,
    context: &str,
    request: &Request,
    findings: &Sender<Finding>,
) -> Result<(), String> {
    let access = Access { kubeconfig: request.kubeconfig.clone(), context: at.context.clone() };
    access.check()?;
    let connection = Connection::to(&access, request.limit());
    let mut scan = SecretScan::of(at.namespace.as_deref())?;
    while let Some(page) = scan.next(&connection).await.map_err(|error| error.to_string())? {
        for secret in page {
            let _ = findings.send(finding(context, &secret)).await;
        }
    }
    Ok(())
}

/// What stands in a Secret: its first chain, which is what is served from it.
fn finding(context: &str, secret: &SeenSecret) -> Finding {
    let place = format!("secret://{context}/{}/{}", secret.namespace, secret.name);
    let text = secret.certificates.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
    let ders: Result<Vec<_>, _> = pem_blocks(&text).into_iter().map(decode).collect();
    let finding = match ders {
        Ok(ders) => match chains(&ders).first() {
            Some(chain) => Finding::seen(place, chain.iter().map(Vec::as_slice)),
            None => Finding::nothing(place, "no certificate is in its tls.crt"),
        },
        Err(_) => Finding::nothing(place, "a certificate in its tls.crt is not base64"),
    };
    Finding { keeper: keeper(&secret.keeper), ..finding }
}

fn keeper(keeper: &Keeper) -> Option<String> {
    let text = match keeper {
        Keeper::Perennial(certificate) => format!("perennial: {certificate}"),
        Keeper::CertManager(certificate) => format!("cert-manager: {certificate}"),
        Keeper::Others(names) => names.iter().cloned().collect::<Vec<_>>().join(", "),
    };
    (!text.is_empty()).then(|| text.chars().take(MAX_KEEPER).collect())
}

const MAX_KEEPER: usize = 60;
