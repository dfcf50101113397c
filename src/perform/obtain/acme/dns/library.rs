//! DNS services, through the library dns-update: which credentials each of them takes. What the
//! library can and is not named here takes three lines.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use dns_update::DnsUpdater;
use dns_update::providers::azuredns::{AzureDnsConfig, AzureEnvironment};
use dns_update::providers::google_cloud_dns::GoogleCloudDnsConfig;
use dns_update::providers::ovh::OvhEndpoint;
use dns_update::providers::route53::Route53Config;
use zeroize::Zeroizing;

use crate::perform::obtain::acme::error::ObtainError;
use crate::perform::obtain::acme::secret;

/// The service `name` with the credentials in `file`.
///
/// # Errors
/// [`ObtainError::Settings`] when there is no such service, or a credential is missing.
pub(super) fn updater(name: &str, file: &Path) -> Result<DnsUpdater, ObtainError> {
    let text = secret::read(file)?;
    let bad = |why: String| ObtainError::Settings(format!("{}: {why}", file.display()));
    // What toml says of a mistake would quote a credential.
    let values = toml::from_str::<BTreeMap<String, Zeroizing<String>>>(&text)
        .map_err(|_| bad("it is no TOML of strings, such as token = \"...\"".into()))?;
    let credentials = Credentials { values, service: name };
    let made = single(name, &credentials)
        .or_else(|| pair(name, &credentials))
        .or_else(|| cloud(name, &credentials));
    let made = made.ok_or_else(|| {
        ObtainError::Settings(format!("there is no DNS service {name:?}; use one of {SERVICES}"))
    })?;
    made.map_err(bad)?.map_err(|e| bad(format!("{name} does not take it: {e}")))
}

type Made = Result<dns_update::Result<DnsUpdater>, String>;

/// Services that know us by one token.
fn single(name: &str, credentials: &Credentials<'_>) -> Option<Made> {
    let make: fn(&str) -> dns_update::Result<DnsUpdater> = match name {
        "bunny" => |token| DnsUpdater::new_bunny(token, TIMEOUT),
        "cloudflare" => |token| DnsUpdater::new_cloudflare(token, TIMEOUT),
        "desec" => |token| DnsUpdater::new_desec(token, TIMEOUT),
        "digitalocean" => |token| DnsUpdater::new_digitalocean(token, TIMEOUT),
        "gandi" => |token| DnsUpdater::new_gandiv5(token, TIMEOUT),
        "gcore" => |token| DnsUpdater::new_gcore(token, TIMEOUT),
        "hetzner" => |token| DnsUpdater::new_hetzner(token, TIMEOUT),
        "hostinger" => |token| DnsUpdater::new_hostinger(token, TIMEOUT),
        "infomaniak" => |token| DnsUpdater::new_infomaniak(token, TIMEOUT),
        "ionos" => |token| DnsUpdater::new_ionos(token, TIMEOUT),
        "linode" => |token| DnsUpdater::new_linode(token, TIMEOUT),
        "netlify" => |token| DnsUpdater::new_netlify(token, TIMEOUT),
        "ns1" => |token| DnsUpdater::new_ns1(token, TIMEOUT),
        "scaleway" => |token| DnsUpdater::new_scaleway(token, TIMEOUT),
        "vultr" => |token| DnsUpdater::new_vultr(token, TIMEOUT),
        _ => return None,
    };
    Some(credentials.need("token").map(make))
}

/// Services that want two or three texts.
fn pair(name: &str, credentials: &Credentials<'_>) -> Option<Made> {
    let made = || {
        let need = |name| credentials.need(name);
        Ok(match name {
            "dnsimple" => DnsUpdater::new_dnsimple(need("token")?, need("account_id")?, TIMEOUT),
            "exoscale" => DnsUpdater::new_exoscale(need("key")?, need("secret")?, TIMEOUT),
            "godaddy" => DnsUpdater::new_godaddy(need("key")?, need("secret")?, TIMEOUT),
            "luadns" => DnsUpdater::new_luadns(need("username")?, need("token")?, TIMEOUT),
            "netcup" => {
                let (customer, key) = (need("customer_number")?, need("key")?);
                DnsUpdater::new_netcup(customer, key, need("password")?, TIMEOUT)
            }
            "powerdns" => {
                let server = credentials.may("server_name");
                DnsUpdater::new_pdns(need("key")?, Some(need("url")?), server, TIMEOUT)
            }
            "porkbun" => DnsUpdater::new_porkbun(need("key")?, need("secret")?, TIMEOUT),
            "plesk" => DnsUpdater::new_plesk(need("url")?, need("key")?, TIMEOUT),
            _ => return Err(None),
        })
    };
    unless_unknown(made())
}

/// The large ones.
fn cloud(name: &str, credentials: &Credentials<'_>) -> Option<Made> {
    let made = || {
        let need = |name: &str| credentials.need(name).map(str::to_owned);
        let may = |name: &str| credentials.may(name).map(str::to_owned);
        Ok(match name {
            "route53" => DnsUpdater::new_route53(Route53Config {
                access_key_id: need("access_key_id")?,
                secret_access_key: need("secret_access_key")?,
                session_token: may("session_token"),
                region: may("region"),
                hosted_zone_id: may("hosted_zone_id"),
                private_zone_only: None,
                endpoint: None,
            }),
            "azure" => DnsUpdater::new_azuredns(AzureDnsConfig {
                tenant_id: need("tenant_id")?,
                client_id: need("client_id")?,
                client_secret: need("client_secret")?,
                subscription_id: need("subscription_id")?,
                resource_group: need("resource_group")?,
                environment: AzureEnvironment::Public,
                request_timeout: TIMEOUT,
            }),
            "google" => DnsUpdater::new_google_cloud_dns(GoogleCloudDnsConfig {
                service_account_json: need("service_account_json")?,
                project_id: need("project_id")?,
                managed_zone: may("managed_zone"),
                private_zone: false,
                impersonate_service_account: may("impersonate_service_account"),
                request_timeout: TIMEOUT,
            }),
            "ovh" => {
                let (key, secret) = (need("application_key")?, need("application_secret")?);
                let endpoint = match need("endpoint")?.as_str() {
                    "ovh-eu" => OvhEndpoint::OvhEu,
                    "ovh-us" => OvhEndpoint::OvhUs,
                    "ovh-ca" => OvhEndpoint::OvhCa,
                    _ => return Err(Some("endpoint is ovh-eu, ovh-us or ovh-ca".to_owned())),
                };
                DnsUpdater::new_ovh(key, secret, need("consumer_key")?, endpoint, TIMEOUT)
            }
            _ => return Err(None),
        })
    };
    unless_unknown(made())
}

fn unless_unknown(made: Result<dns_update::Result<DnsUpdater>, Option<String>>) -> Option<Made> {
    match made {
        Ok(made) => Some(Ok(made)),
        Err(Some(why)) => Some(Err(why)),
        Err(None) => None,
    }
}

struct Credentials<'a> {
    values: BTreeMap<String, Zeroizing<String>>,
    service: &'a str,
}

impl Credentials<'_> {
    fn need(&self, name: &str) -> Result<&str, String> {
        let missing = || format!("{} wants {name:?} and it is not there", self.service);
        self.may(name).ok_or_else(missing)
    }

    fn may(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|value| value.as_str())
    }
}

pub(super) const SERVICES: &str = "azure, bunny, cloudflare, desec, digitalocean, dnsimple, exoscale, gandi, \
    gcore, godaddy, google, hetzner, hostinger, infomaniak, ionos, linode, luadns, netcup, \
    netlify, ns1, ovh, plesk, porkbun, powerdns, route53, scaleway, vultr";
const TIMEOUT: Option<Duration> = Some(Duration::from_secs(30));
