//! What is declared of people who are told by mail: the server that takes it, how it is spoken to, from
//! whom and to whom.

use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;
use serde::{Deserialize, Serialize};

use super::receiver::{Audience, check_path};

/// People who are told by mail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailSpec {
    /// What everything else calls it.
    pub(crate) name: String,
    /// The server that takes it: a name or an address, and perhaps a port.
    pub(crate) server: String,
    /// How the way there is protected.
    #[serde(default)]
    pub(crate) tls: MailTls,
    /// PEM certificates to trust for it, in place of the system's roots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) roots: Option<PathBuf>,
    /// A file with the name and the password to log in with, a line each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) login_file: Option<PathBuf>,
    /// From whom it is.
    pub(crate) from: String,
    /// Who gets it.
    pub(crate) to: Vec<String>,
    #[serde(flatten)]
    pub(crate) audience: Audience,
}

/// How the way to a mail server is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MailTls {
    /// It begins in the clear and goes on by STARTTLS (RFC 3207), or not at all.
    #[default]
    Starttls,
    /// It begins with TLS (RFC 8314 §3.3).
    Implicit,
    /// Not at all.
    None,
}

impl MailSpec {
    /// The host and the port of the server.
    ///
    /// # Errors
    /// In words, when it names none.
    pub(crate) fn address(&self) -> Result<(String, u16), String> {
        let usual = match self.tls {
            MailTls::Starttls => 587,
            MailTls::Implicit => 465,
            MailTls::None => 25,
        };
        let wrong = || {
            let server = &self.server;
            format!(
                "server {server:?} is no mail server: write its name or address, and perhaps a port"
            )
        };
        if let Ok(address) = self.server.parse::<IpAddr>() {
            return Ok((address.to_string(), usual));
        }
        let (host, port) = match self.server.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok().filter(|p| *p > 0).ok_or_else(wrong)?),
            None => (self.server.as_str(), usual),
        };
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        if bare.parse::<IpAddr>().is_err() && ca::Identifier::parse(bare).is_err() && bare != LOCAL
        {
            return Err(wrong());
        }
        Ok((bare.to_owned(), port))
    }

    /// Whether the server is this machine.
    pub(crate) fn is_local(&self) -> bool {
        self.address().is_ok_and(|(host, _)| {
            host == LOCAL || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        })
    }

    /// From whom it is.
    ///
    /// # Errors
    /// In words, when that is no address.
    pub(crate) fn sender(&self) -> Result<Mailbox, String> {
        mailbox("from", &self.from)
    }

    /// Who gets it.
    ///
    /// # Errors
    /// In words, when one is no address.
    pub(crate) fn recipients(&self) -> Result<Vec<Mailbox>, String> {
        self.to.iter().map(|text| mailbox("to", text)).collect()
    }

    /// Whether it could work.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.address()?;
        self.sender()?;
        match self.recipients()?.len() {
            1..=MAX_RECIPIENTS => {}
            0 => return Err("to is empty: name who gets it".into()),
            _ => return Err(format!("to names more than {MAX_RECIPIENTS}: use a list's address")),
        }
        if let Some(path) = &self.login_file {
            check_path("login_file", path)?;
        }
        if self.tls == MailTls::None && self.login_file.is_some() && !self.is_local() {
            return Err("tls = \"none\" would send the password in the clear: use starttls".into());
        }
        self.audience.check()
    }
}

fn mailbox(what: &str, text: &str) -> Result<Mailbox, String> {
    let shown: String = text.chars().take(100).collect();
    let mailbox: Mailbox = text.parse().map_err(|error| {
        format!("{what} {shown:?} is no address ({error}): write ops@example.com")
    })?;
    // Others need what not every server on the way has (RFC 6531).
    if !mailbox.email.to_string().is_ascii() {
        return Err(format!(
            "{what} {shown:?} is an address beyond ASCII: write the domain as xn--"
        ));
    }
    Ok(mailbox)
}

const LOCAL: &str = "localhost";
const MAX_RECIPIENTS: usize = 50;

#[cfg(test)]
mod tests {
    use super::super::parse;

    #[test]
    fn what_could_not_reach_anybody_is_refused() {
        let good = "[[mail]]\nname = \"ops\"\nserver = \"mail.example.com\"\n\
                    from = \"Perennial <pki@example.com>\"\nto = [\"ops@example.com\"]\n";
        let check = |text: &str| match parse([("a.toml", text)]) {
            Ok(declared) => declared.check().map_err(|wrong| wrong.to_string()),
            Err(mistake) => Err(mistake.to_string()),
        };
        assert_eq!(check(good), Ok(()));
        for server in ["10.0.0.5", "[fd00::5]:2525", "fd00::5", "localhost:25", "mail:25"] {
            assert_eq!(check(&good.replace("mail.example.com", server)), Ok(()), "{server}");
        }
        for (from, to, why) in [
            ("\"mail.example.com\"", "\"https://mail\"", "is no mail server"),
            ("\"mail.example.com\"", "\"mail:0\"", "is no mail server"),
            ("Perennial <pki@example.com>", "pki", "is no address"),
            ("[\"ops@example.com\"]", "[\"ops\"]", "is no address"),
            ("[\"ops@example.com\"]", "[]", "to is empty"),
            ("[\"ops@example.com\"]", "[\"öps@example.com\"]", "beyond ASCII"),
            ("to =", "login_file = \"/l\"\ntls = \"none\"\nto =", "in the clear"),
            ("to =", "login_file = \"l\"\nto =", "whole path"),
            ("to =", "tls = \"maybe\"\nto =", "unknown variant"),
            ("to =", "password = \"x\"\nto =", "unknown field"),
            ("to =", "events = [\"rotation.fial\"]\nto =", "nobody is told of"),
            ("to =", "severity = \"fatal\"\nto =", "unknown variant"),
            ("to =", "wait = \"2h\"\nto =", "wait must lie"),
            ("to =", "repeat = \"1m\"\nto =", "repeat must lie"),
            ("to =", "quiet = [\"daily 00:00-24:00\"]\nto =", "leaves no time"),
            ("to =", "quiet = [\"at night\"]\nto =", "no maintenance window"),
        ] {
            let told = check(&good.replace(from, to)).expect_err(to);
            assert!(told.contains(why), "{to}: {told}");
        }
        let twice = format!("{good}[[chat]]\nname = \"ops\"\nurl_file = \"/u\"\n");
        assert!(check(&twice).expect_err("one name").contains("there is a mail of this name"));
    }
}
