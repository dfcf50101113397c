//! Where a command finds its server: through the admin socket in a data directory, or over the network
//! with an API token. Nothing is asked here.

use std::fmt;
use std::path::{Path, PathBuf};

use ::url::Url;
use zeroize::Zeroizing;

use super::Failure;
use crate::config::default_data_dir;
use crate::perform::obtain::acme::secret;

/// Where the server is, as users say it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Server")]
pub(super) struct Reach {
    /// Where the node keeps its store, keys and admin socket [default: $STATE_DIRECTORY, /var/lib/perennial for root, else ~/.local/share/perennial]
    #[arg(long, global = true, value_name = "DIR", env = "PERENNIAL_DATA_DIR")]
    pub(super) data_dir: Option<PathBuf>,
    /// The server, over the network, with an API token; else the one on the data directory is asked
    #[arg(long, global = true, value_name = "URL", env = "PERENNIAL_SERVER")]
    server: Option<String>,
    /// A file with the API token for --server [default: the token in PERENNIAL_TOKEN]
    #[arg(long, global = true, value_name = "FILE", env = "PERENNIAL_TOKEN_FILE")]
    token_file: Option<PathBuf>,
    /// A PEM file with the roots to trust for --server [default: those of the system]
    #[arg(long, global = true, value_name = "FILE", env = "PERENNIAL_CA")]
    ca: Option<PathBuf>,
}

/// A way to a server.
#[derive(Clone, Debug)]
pub(super) enum Way {
    /// Through its admin socket.
    Socket(PathBuf),
    /// By HTTPS.
    Network(Remote),
}

/// A server elsewhere, and what is shown to it.
#[derive(Clone)]
pub(super) struct Remote {
    /// Without a slash at its end.
    pub(super) url: String,
    pub(super) token: Zeroizing<String>,
    pub(super) roots: Option<PathBuf>,
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Reach {
    /// The way to the server that is meant.
    ///
    /// # Errors
    /// When one over the network is, and its URL or token is of no use.
    pub(super) fn way(&self) -> Result<Way, Failure> {
        let Some(server) = &self.server else {
            let data_dir = self.data_dir.as_deref().map_or_else(default_data_dir, Path::to_owned);
            return Ok(Way::Socket(data_dir.join(ADMIN_SOCKET)));
        };
        let url = address(server)?;
        let token = self.token()?;
        Ok(Way::Network(Remote { url, token, roots: self.ca.clone() }))
    }

    fn token(&self) -> Result<Zeroizing<String>, Failure> {
        let text = match &self.token_file {
            Some(path) => secret::read(path)?,
            None => std::env::var(TOKEN).map(Zeroizing::new).map_err(|_| Failure::new(NO_TOKEN))?,
        };
        let token = text.trim();
        // It goes into a header, and is at no time shown.
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            let place = self.token_file.as_deref().map(Path::display);
            let place = place.map_or_else(|| TOKEN.to_owned(), |path| path.to_string());
            return Err(Failure::new(format!("{place} holds no API token: it is one line")));
        }
        Ok(Zeroizing::new(token.to_owned()))
    }
}

/// The address of a server without the slash at its end.
fn address(server: &str) -> Result<String, Failure> {
    let wrong =
        |why: &str| Failure::new(format!("--server {server:?} {why}; write https://HOST:PORT"));
    let url = Url::parse(server).map_err(|error| wrong(&format!("is no URL ({error})")))?;
    if url.scheme() != "https" || url.host().is_none() {
        // Whoever is on the way would have the token.
        return Err(wrong("is not https"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Failure::new("--server holds a name or password: the token goes into a file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query or fragment"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The name of the admin socket in the data directory.
pub(crate) const ADMIN_SOCKET: &str = "admin.sock";
const TOKEN: &str = "PERENNIAL_TOKEN";
const NO_TOKEN: &str = "--server needs an API token: make one where the server runs, with perennial \
                        token create NAME --role ROLE, and name the file it is in with --token-file";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_by_https_and_nothing_else() {
        let said = |text: &str| address(text).map_err(|failure| failure.to_string());
        assert_eq!(said("https://ca.example.com:8443/"), Ok("https://ca.example.com:8443".into()));
        assert_eq!(said("https://ca.example.com/pki/"), Ok("https://ca.example.com/pki".into()));
        for wrong in
            ["ca.example.com", "http://ca.example.com", "https://ca.example.com/?a=b", "ftp:x"]
        {
            assert!(said(wrong).is_err(), "{wrong}");
        }
        let told = said("https://eve:secret@ca.example.com").expect_err("a password");
        assert!(!told.contains("secret"), "{told}");
    }

    #[test]
    fn what_is_shown_of_a_way_holds_no_token() {
        let token = Zeroizing::new("perennial_secret".to_owned());
        let way = Way::Network(Remote { url: "https://a".into(), token, roots: None });
        assert!(!format!("{way:?}").contains("secret"));
    }
}
