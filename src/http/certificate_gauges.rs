//! Each certificate for who watches, under the names that dashboards already know: cert-manager's for what is
//! managed, those of the x509-certificate-exporter for what was found, the blackbox exporter's for
//! endpoints. There may be very many, so that this is a page of its own, with the soonest ends first and
//! no more than can be scraped; what is left out is counted.

use std::fmt::Write;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::node::Node;
use crate::store::{ManagedEnd, PlaceEnd, ReadError};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Managed {
    name: String,
    owner: String,
    issuer_name: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ready {
    name: String,
    owner: String,
    issuer_name: String,
    condition: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
#[allow(non_snake_case, reason = "labels are called as the exporter calls them")]
struct Found {
    subject_CN: String,
    issuer_CN: String,
    serial_number: String,
    filepath: String,
    secret_namespace: String,
    secret_name: String,
    owner: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Probed {
    instance: String,
    endpoint: String,
    owner: String,
}

#[derive(Default)]
struct Gauges {
    expiration: Family<Managed, Gauge>,
    not_before: Family<Managed, Gauge>,
    renewal: Family<Managed, Gauge>,
    ready: Family<Ready, Gauge>,
    found_after: Family<Found, Gauge>,
    found_before: Family<Found, Gauge>,
    found_expired: Family<Found, Gauge>,
    success: Family<Probed, Gauge>,
    earliest: Family<Probed, Gauge>,
    last_chain: Family<Probed, Gauge>,
    left_out: Gauge,
}

/// The page.
///
/// # Errors
/// When the store fails.
pub(super) async fn page(node: &Node) -> Result<String, ReadError> {
    let (gauges, now) = (Gauges::default(), node.world.now());
    let (managed, more_managed) = node.store.managed_ends(MOST).await?;
    managed.iter().for_each(|end| gauges.set_managed(node, end));
    let (places, more_places) = node.store.place_ends(MOST).await?;
    places.iter().for_each(|end| gauges.set_place(node, end, now));
    gauges.left_out.set(more_managed + more_places);
    let mut registry = Registry::default();
    gauges.register(&mut registry);
    let mut text = String::new();
    let encoded = encode_registry(&mut text, &registry).and_then(|()| encode_eof(&mut text));
    if encoded.is_err() {
        let _ = write!(text, "# the metrics cannot be encoded");
    }
    Ok(text)
}

impl Gauges {
    fn set_managed(&self, node: &Node, end: &ManagedEnd) {
        let catalog = node.catalog.load();
        let Some(certificate) = catalog.certificates.get(&end.name) else { return };
        let (name, issuer_name) = (end.name.clone(), end.issuer.clone());
        let owner = certificate.spec.owner.clone().unwrap_or_default();
        for (condition, value) in [("True", end.is_served), ("False", !end.is_served)] {
            let (name, owner, issuer_name) = (name.clone(), owner.clone(), issuer_name.clone());
            let label = Ready { name, owner, issuer_name, condition };
            self.ready.get_or_create(&label).set(value.into());
        }
        let label = Managed { name, owner, issuer_name };
        for (gauge, at) in [
            (&self.expiration, end.not_after),
            (&self.not_before, end.not_before),
            (&self.renewal, end.renew_at),
        ] {
            gauge.get_or_create(&label).set(at.as_second());
        }
    }

    fn set_place(&self, node: &Node, end: &PlaceEnd, now: Timestamp) {
        let owner = end.owner.clone().unwrap_or_default();
        if let (Some(endpoint), Some(rest)) = (&end.endpoint, end.place.strip_prefix("tls://")) {
            let instance = rest.split('/').next().unwrap_or_default().to_owned();
            let catalog = node.catalog.load();
            let declared = catalog.endpoints.get(endpoint).and_then(|spec| spec.owner.clone());
            let owner = declared.unwrap_or(owner);
            let label = Probed { instance, endpoint: endpoint.clone(), owner };
            self.success
                .get_or_create(&label)
                .set(i64::from(end.leaf.is_some() && !end.is_refused));
            if let (Some(chain), Some(leaf)) = (end.ends_at, &end.leaf) {
                // As they are called there: the first of what is sent that ends, and the last.
                self.earliest.get_or_create(&label).set(chain.as_second());
                self.last_chain.get_or_create(&label).set(leaf.not_after.as_second());
            }
            return;
        }
        let Some(leaf) = &end.leaf else { return };
        let secret = end.place.strip_prefix("secret://").and_then(|secret| {
            let mut parts = secret.splitn(3, '/').skip(1);
            Some((parts.next()?.to_owned(), parts.next()?.to_owned()))
        });
        let (secret_namespace, secret_name) = secret.unwrap_or_default();
        let label = Found {
            subject_CN: common_name(&leaf.subject),
            issuer_CN: common_name(&leaf.issuer),
            serial_number: leaf.serial.clone(),
            filepath: if secret_name.is_empty() { end.place.clone() } else { String::new() },
            secret_namespace,
            secret_name,
            owner,
        };
        self.found_after.get_or_create(&label).set(leaf.not_after.as_second());
        self.found_before.get_or_create(&label).set(leaf.not_before.as_second());
        self.found_expired.get_or_create(&label).set(i64::from(leaf.not_after < now));
    }

    fn register(&self, registry: &mut Registry) {
        let r = registry;
        for (name, help, gauge) in [
            (
                "certmanager_certificate_expiration_timestamp_seconds",
                "When the version that is served expires",
                &self.expiration,
            ),
            (
                "certmanager_certificate_not_before_timestamp_seconds",
                "Since when the version that is served is valid",
                &self.not_before,
            ),
            (
                "certmanager_certificate_renewal_timestamp_seconds",
                "When the version that is served is to be renewed",
                &self.renewal,
            ),
        ] {
            r.register(name, help, gauge.clone());
        }
        let help = "Whether every target is proven to serve it";
        r.register("certmanager_certificate_ready_status", help, self.ready.clone());
        for (name, help, gauge) in [
            ("x509_cert_not_after", "When a certificate that was found expires", &self.found_after),
            ("x509_cert_not_before", "Since when it is valid", &self.found_before),
            ("x509_cert_expired", "Whether it has expired", &self.found_expired),
        ] {
            r.register(name, help, gauge.clone());
        }
        for (name, help, gauge) in [
            ("probe_success", "Whether clients take what an endpoint shows", &self.success),
            (
                "probe_ssl_earliest_cert_expiry",
                "When the first certificate that an endpoint sends expires",
                &self.earliest,
            ),
            (
                "probe_ssl_last_chain_expiry_timestamp_seconds",
                "When the certificate of an endpoint itself expires",
                &self.last_chain,
            ),
        ] {
            r.register(name, help, gauge.clone());
        }
        let help = "Certificates and places that this page has no room for, the latest ends";
        r.register("perennial_certificates_left_out", help, self.left_out.clone());
    }
}

/// The common name of a subject, or all of it where it has none.
fn common_name(subject: &str) -> String {
    let mut parts = subject.rsplit(',').filter_map(|part| part.trim().strip_prefix("CN="));
    parts.next().unwrap_or(subject).to_owned()
}

/// Of each kind; a scrape of so many takes some megabytes.
const MOST: u32 = 10_000;
