//! What relying parties fetch: CRLs, CA certificates, the bundle of roots. All of it is signed
//! already, so it is served over plain HTTP too (RFC 5280 §8).

use std::fmt::Write;
use std::sync::Arc;

use acme::{Problem, ProblemType};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use axum::{Router, routing};
use data_encoding::HEXLOWER;
use jiff::fmt::rfc2822::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

use super::error;
use super::tags::not_modified;
use crate::catalog::Catalog;
use crate::node::Node;
use crate::store::CrlRow;

/// Everything under `/pki/`.
pub(super) fn router() -> Router<Arc<Node>> {
    Router::new().route("/pki/{file}", routing::get(serve))
}

async fn serve(
    State(node): State<Arc<Node>>,
    Path(file): Path<String>,
    headers: HeaderMap,
) -> Response<Body> {
    let asked = headers.get(header::IF_NONE_MATCH).and_then(|tag| tag.to_str().ok());
    file_of(&node, &file, asked).unwrap_or_else(|problem| error::response(&problem))
}

fn file_of(node: &Node, file: &str, asked: Option<&str>) -> Result<Response<Body>, Problem> {
    let missing = || {
        Problem::new(ProblemType::Malformed, format!("there is no {file:?} here")).with_status(404)
    };
    let catalog = node.catalog.load();
    if file == "bundle.pem" {
        return Ok(body("application/x-pem-file", bundle(&catalog).into_bytes()));
    }
    let (name, ending) = file.rsplit_once('.').ok_or_else(missing)?;
    let authority = catalog.authorities.get(name).ok_or_else(missing)?;
    let certificate = authority.ca.certificate();
    match ending {
        "pem" => Ok(body("application/x-pem-file", certificate.pem().into_bytes())),
        // RFC 5280 §4.2.2.1: DER, so named.
        "crt" => Ok(body("application/pkix-cert", certificate.der().to_vec())),
        "crl" => {
            let published = node.crls.load();
            let crl = published.get(&authority.id).ok_or_else(missing)?;
            Ok(crl_response(crl, node.world.now(), asked))
        }
        _ => Err(missing()),
    }
}

/// A CRL with what caches need (RFC 5280 §4.2.1.13, RFC 9111 §5.2): fresh until a new one is due,
/// never beyond its own end.
fn crl_response(crl: &CrlRow, now: Timestamp, asked: Option<&str>) -> Response<Body> {
    let etag = format!("\"{}-{}\"", crl.authority, crl.number);
    let fresh = crl.next_update.duration_since(now).min(MAX_AGE).as_secs().max(0);
    let mut response = if asked == Some(etag.as_str()) {
        not_modified()
    } else {
        body("application/pkix-crl", crl.der.clone())
    };
    let mut put = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    put(header::ETAG, &etag);
    put(header::CACHE_CONTROL, &format!("public, max-age={fresh}, must-revalidate"));
    put(header::LAST_MODIFIED, &http_date(crl.this_update));
    put(header::EXPIRES, &http_date(crl.next_update));
    response
}

/// The roots, each with its fingerprint above it.
fn bundle(catalog: &Catalog) -> String {
    let roots = catalog.authorities.values().filter(|authority| authority.issuer.is_none());
    roots.fold(String::new(), |mut out, root| {
        let certificate = root.ca.certificate();
        let fingerprint = HEXLOWER.encode(&certificate.fingerprint());
        let _ = writeln!(out, "# {}, SHA-256 {fingerprint}", root.name);
        out.push_str(&certificate.pem());
        out
    })
}

fn body(kind: &'static str, bytes: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(bytes.into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// RFC 9110 §5.6.7.
fn http_date(instant: Timestamp) -> String {
    DateTimePrinter::new().timestamp_to_rfc9110_string(&instant).unwrap_or_default()
}

/// A client never keeps a CRL longer than this without asking, so that a revocation is heard of.
const MAX_AGE: SignedDuration = SignedDuration::from_mins(10);
