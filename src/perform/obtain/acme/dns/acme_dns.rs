//! acme-dns (github.com/joohoi/acme-dns): a small DNS server with an HTTP API, to which a name is
//! delegated by a CNAME, once and by hand.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Record, fault};
use crate::perform::obtain::acme::error::{ObtainError, excerpt};
use crate::perform::obtain::acme::secret;

/// An acme-dns server and our accounts there.
pub(super) struct AcmeDns {
    http: reqwest::Client,
    url: String,
    accounts: BTreeMap<String, Account>,
    file: String,
}

/// As lego and acme-dns-client keep it.
#[derive(Deserialize)]
struct Account {
    fulldomain: String,
    subdomain: String,
    username: String,
    password: Zeroizing<String>,
}

#[derive(Serialize)]
struct Update<'a> {
    subdomain: &'a str,
    txt: &'a str,
}

impl AcmeDns {
    pub(super) fn new(url: &str, credentials_file: &Path) -> Result<Self, ObtainError> {
        let text = secret::read(credentials_file)?;
        let file = credentials_file.display().to_string();
        // What serde says of a mistake could quote a password.
        let accounts = serde_json::from_str(&text).map_err(|e| {
            ObtainError::Settings(format!(
                "{file}: line {} does not fit: it is to hold, by domain, objects with fulldomain, \
                 subdomain, username and password",
                e.line()
            ))
        })?;
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|e| ObtainError::Settings(format!("HTTPS cannot be set up: {e}")))?;
        Ok(Self { http, url: url.trim_end_matches('/').to_owned(), accounts, file })
    }

    /// Shows a value beside the one before it.
    pub(super) async fn update(&self, record: &Record) -> Result<(), ObtainError> {
        let is_for = |account: &&Account| {
            account.fulldomain.trim_end_matches('.').eq_ignore_ascii_case(&record.name)
        };
        let account = self.accounts.values().find(is_for).ok_or_else(|| {
            fault(
                &record.name,
                format!(
                    "no account in {} has it as fulldomain; delegate to one by CNAME",
                    self.file
                ),
            )
        })?;
        let cannot = |why: String| fault(&record.name, format!("{}: {why}", self.url));
        let update = Update { subdomain: &account.subdomain, txt: &record.value };
        let request = self
            .http
            .post(format!("{}/update", self.url))
            .header("X-Api-User", &account.username)
            .header("X-Api-Key", account.password.as_str())
            .json(&update);
        let mut response = request.send().await.map_err(|e| cannot(e.to_string()))?;
        if response.status().is_success() {
            return Ok(());
        }
        let body = response.chunk().await.ok().flatten().unwrap_or_default();
        let said = excerpt(&String::from_utf8_lossy(&body));
        Err(cannot(format!("it answered {}: {said}", response.status())))
    }
}

impl fmt::Debug for AcmeDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AcmeDns").field(&self.url).finish()
    }
}

const TIMEOUT: Duration = Duration::from_secs(30);
