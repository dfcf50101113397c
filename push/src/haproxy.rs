//! Targets of kind `haproxy`: over the runtime socket a certificate is replaced without reload, while
//! every connection lives on. Nothing put in that way survives a reload, so the file is written too.
//! One transaction exists per process, not per connection, and versions before 3.1 mix up names: so
//! one push at a time per socket, none while another's transaction is open, and the name is read back.

use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::PushError;
use crate::placement::{Mode, Placed, Placement, absolute};
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{Delivery, Observed, Receipt, Target, command};

mod lock;
mod socket;

use socket::Socket;

/// What a target of kind `haproxy` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Haproxy {
    /// The runtime socket, of level admin: a path, or `host:port`.
    pub socket: String,
    /// The certificate's file, exactly as HAProxy loaded it: `show ssl cert` lists it.
    pub path: PathBuf,
    /// Where that file is, if `path` is relative (to `crt-base`, say).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    /// The user who owns the file, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The group of the file, by name or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Permission bits of the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// A crt-list, or a certificate directory as HAProxy loaded it, to which the certificate is added
    /// if HAProxy does not have it yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crt_list: Option<String>,
    /// HAProxy's `tune.bufsize` in bytes: a longer command is dropped without a word.
    #[serde(default = "default_bufsize", skip_serializing_if = "is_default_bufsize")]
    pub bufsize: usize,
    /// The master's socket, by which to reload where the runtime socket cannot do it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master_socket: Option<String>,
    /// The argument list of a command to reload with instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reload: Vec<String>,
    /// How long each reply, or the reload command, may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Haproxy {
    pub(crate) const FIELDS: &[&str] = &[
        "socket",
        "path",
        "file",
        "owner",
        "group",
        "mode",
        "crt_list",
        "bufsize",
        "master_socket",
        "reload",
        "timeout",
    ];

    pub(crate) fn check(&self) -> Result<(), String> {
        for (field, socket) in
            [("socket", Some(&self.socket)), ("master_socket", self.master_socket.as_ref())]
        {
            if let Some(socket) = socket {
                Socket::check(field, socket)?;
            }
        }
        absolute("file", self.file.as_deref())?;
        if self.file.is_none() {
            absolute("path", Some(&self.path)).map_err(|error| {
                format!("{error}; or, if HAProxy loaded it by a relative path, set file too")
            })?;
        }
        let path = self.path.to_string_lossy();
        let words = [Some(&*path), self.crt_list.as_deref()];
        if words.into_iter().flatten().any(|word| word.contains([' ', '\t', '\n', ';', '<', '\\']))
        {
            return Err(
                "path and crt_list may not contain spaces, ; < or \\: HAProxy's socket would \
                        read them as commands"
                    .into(),
            );
        }
        if self.master_socket.is_some() && !self.reload.is_empty() {
            return Err("master_socket and reload exclude each other: remove one".into());
        }
        Ok(())
    }

    /// The one file, as the shared code for files sees it.
    fn placement(&self) -> Placement {
        Placement {
            path: Some(self.file.clone().unwrap_or_else(|| self.path.clone())),
            owner: self.owner.clone(),
            group: self.group.clone(),
            mode: self.mode,
            ..Placement::default()
        }
    }

    async fn deliver(&self, delivery: &Delivery<'_>) -> Result<Receipt, PushError> {
        let pem = delivery
            .bundle
            .combined_pem()
            .ok_or_else(|| PushError::no_key("HAProxy takes certificate and key together"))?;
        let socket = Socket::new(&self.socket, limit(self.timeout));
        let _held = lock::acquire(&self.socket, limit(self.timeout)).await?;
        let name = self.path.to_string_lossy();
        let fits = self.command(&name, &pem).len() < self.bufsize;
        if !fits && !self.can_reload() {
            return Err(PushError::Declaration(format!(
                "the certificate makes a command of {} bytes, and HAProxy drops those from {} \
                 (tune.bufsize) on; nothing was changed: set reload or master_socket, or raise \
                 tune.bufsize and bufsize",
                self.command(&name, &pem).len(),
                self.bufsize
            )));
        }
        if !fits {
            let placed = self.placement().put(delivery).await?;
            let told = self.reload().await;
            return placed.keep_if(told).await;
        }
        let is_new = self.prepare(&socket, &name).await.map_err(PushError::untouched)?;
        let placed = self.placement().put(delivery).await?;
        self.replace(&socket, &name, &pem, is_new, placed).await
    }

    /// Looks at what HAProxy has before anything is changed. True if it does not have `name` yet.
    async fn prepare(&self, socket: &Socket, name: &str) -> Result<bool, PushError> {
        let mut listing = socket.listing().await?;
        if listing.transaction.as_deref() == Some(name) {
            // Left by a push that was interrupted: the lock says that none is under way.
            socket.abort(name).await;
            listing = socket.listing().await?;
        }
        if let Some(other) = listing.transaction {
            return Err(PushError::Busy(format!(
                "HAProxy has an unfinished change of {other}, made by someone else; nothing was \
                 changed. If nobody is at work on it, send: abort ssl cert {other}"
            )));
        }
        match (listing.names.iter().any(|loaded| loaded == name), &self.crt_list) {
            (true, _) => Ok(false),
            (false, Some(_)) => Ok(true),
            (false, None) => Err(PushError::Declaration(format!(
                "HAProxy has not loaded {name}; nothing was changed. Write path as it does, or set \
                 crt_list to add it. It has: {}",
                listing.names.join(", ")
            ))),
        }
    }

    async fn replace(
        &self,
        socket: &Socket,
        name: &str,
        pem: &str,
        is_new: bool,
        placed: Placed,
    ) -> Result<Receipt, PushError> {
        let told = async {
            if is_new {
                socket.expect(&format!("new ssl cert {name}"), "New empty certificate").await?;
            }
            socket.set(name, &self.command(name, pem)).await?;
            let mut said = socket.commit(name).await?;
            if let (true, Some(list)) = (is_new, &self.crt_list) {
                let add = format!("add ssl crt-list {list} {name}");
                said.push_str(&socket.expect(&add, "Success!").await?);
            }
            Ok(said)
        };
        let told = told.await;
        if told.is_err() && is_new {
            socket.forget(name).await;
        }
        placed.keep_if(told).await
    }

    /// The payload ends at the first empty line, and what follows is run as commands.
    fn command(&self, name: &str, pem: &str) -> Zeroizing<String> {
        let mut command = Zeroizing::new(String::with_capacity(pem.len() + name.len() + 64));
        command.push_str("set ssl cert ");
        command.push_str(name);
        command.push_str(" <<\n");
        for line in pem.lines().filter(|line| !line.trim().is_empty()) {
            command.push_str(line);
            command.push('\n');
        }
        command.push('\n');
        command
    }

    fn can_reload(&self) -> bool {
        self.master_socket.is_some() || !self.reload.is_empty()
    }

    async fn reload(&self) -> Result<String, PushError> {
        match &self.master_socket {
            Some(master) => Socket::new(master, limit(self.timeout)).reload().await,
            None => {
                let refused = "the reload command failed, and the previous file is back";
                command::run(&self.reload, &[], limit(self.timeout), refused).await
            }
        }
    }
}

impl Target for Haproxy {
    fn push<'a>(
        &'a self,
        delivery: &'a Delivery<'a>,
    ) -> Pin<Box<dyn Future<Output = Result<Receipt, PushError>> + Send + 'a>> {
        Box::pin(self.deliver(delivery))
    }

    fn observe<'a>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Observed, PushError>> + Send + 'a>> {
        Box::pin(async move { self.placement().observe().await })
    }
}

fn default_bufsize() -> usize {
    16_384
}

// Serde hands fields over by reference.
#[expect(clippy::trivially_copy_pass_by_ref)]
fn is_default_bufsize(bufsize: &usize) -> bool {
    *bufsize == default_bufsize()
}
