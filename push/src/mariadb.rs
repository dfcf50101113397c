//! Targets of kind `mariadb`: MariaDB, and MySQL, which has another word for the same. The client
//! program asks the server what it reads and as whom, and has it read again; who it is and its password
//! are in the client's own file, and in no argument list.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::disk::blocking;
use crate::error::PushError;
use crate::placement::{Placement, Reader, absolute};
use crate::server::Server;
use crate::spec::{default_timeout, is_default_timeout, limit};
use crate::{command, process};

/// What a target of kind `mariadb` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mariadb {
    /// Where the files go that `ssl_cert` and `ssl_key` name. Those that are new belong to the
    /// server's user unless `owner` or `group` says otherwise.
    #[serde(flatten)]
    pub placement: Placement,
    /// The client program: `mariadb`, or `mysql`.
    #[serde(default = "default_binary", skip_serializing_if = "is_default_binary")]
    pub binary: String,
    /// A file with the client's user, password and socket, instead of those it reads by default
    /// (`--defaults-file`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub defaults_file: Option<PathBuf>,
    /// How long each answer may take.
    #[serde(
        default = "default_timeout",
        skip_serializing_if = "is_default_timeout",
        with = "ca::duration"
    )]
    pub timeout: SignedDuration,
}

impl Mariadb {
    pub(crate) const FIELDS: &[&str] = &["binary", "defaults_file", "timeout"];

    pub(crate) fn check(&self) -> Result<(), String> {
        self.placement.check()?;
        absolute("defaults_file", self.defaults_file.as_deref())
    }

    /// Has the client send a statement, and gives what it printed: rows of columns with tabs between.
    async fn ask(&self, statement: &str, refused: &str) -> Result<String, PushError> {
        let mut argv = vec![self.binary.clone()];
        // The client knows this option in the first place only.
        if let Some(file) = &self.defaults_file {
            argv.push(format!("--defaults-file={}", file.to_string_lossy()));
        }
        let rest = ["--batch", "--skip-column-names", "--execute", statement];
        argv.extend(rest.map(str::to_owned));
        command::run(&argv, &[], limit(self.timeout), refused).await
    }

    async fn variables(&self) -> Result<Variables, PushError> {
        let refused = "the server did not tell its settings; nothing was changed";
        let output = self.ask(VARIABLES, refused).await.map_err(PushError::untouched)?;
        Ok(Variables::read(&output))
    }
}

impl Server for Mariadb {
    fn placement(&self) -> &Placement {
        &self.placement
    }

    async fn prepare(&self) -> Result<Placement, PushError> {
        let (placement, variables) = (self.placement.clone(), self.variables().await?);
        blocking(move || {
            variables.demand("ssl_cert", placement.certificate_path())?;
            variables.demand("ssl_key", placement.key_path())?;
            match variables.reader() {
                Some(reader) => placement.for_reader(&reader),
                None => Ok(placement),
            }
        })
        .await
    }

    async fn tell(&self) -> Result<String, PushError> {
        self.placement.check_pair().await.map_err(PushError::untouched)?;
        let statement = self.variables().await?.reload();
        self.ask(statement, "the server refused the files, and the previous ones are back").await
    }
}

/// What the server says of itself.
struct Variables(BTreeMap<String, String>);

impl Variables {
    fn read(output: &str) -> Self {
        let pairs = output.lines().filter_map(|line| line.split_once('\t'));
        Self(pairs.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect())
    }

    /// What a server of this kind is told.
    fn reload(&self) -> &'static str {
        let version = self.0.get("version").map_or("", String::as_str);
        if version.contains("MariaDB") { "FLUSH SSL" } else { "ALTER INSTANCE RELOAD TLS" }
    }

    /// A path, which may be relative to the directory of the data.
    fn path(&self, name: &str) -> Option<PathBuf> {
        let path = self.0.get(name).filter(|path| !path.is_empty())?;
        Some(Path::new(self.0.get("datadir").map_or("", String::as_str)).join(path))
    }

    /// Refuses where the server reads another file than the one that would be written. Where one of
    /// them is not there, it cannot be told: the first push may come before the configuration names
    /// its files, and a server in a container has names of its own.
    fn demand(&self, name: &str, ours: Option<PathBuf>) -> Result<(), PushError> {
        let (Some(theirs), Some(ours)) = (self.path(name), ours) else { return Ok(()) };
        match (fs::canonicalize(&theirs), fs::canonicalize(&ours)) {
            (Ok(read), Ok(written)) if read != written => Err(PushError::Declaration(format!(
                "the server reads {name} = {}, and not {}; nothing was changed: name that one in its \
                 configuration and start it again",
                theirs.display(),
                ours.display()
            ))),
            _ => Ok(()),
        }
    }

    /// The user it runs as, if it runs where we see it.
    fn reader(&self) -> Option<Reader> {
        Reader::of(process::running(&self.path("pid_file")?).ok()?)
    }
}

fn default_binary() -> String {
    "mariadb".to_owned()
}

fn is_default_binary(binary: &str) -> bool {
    binary == "mariadb"
}

/// Those that a server does not have are left out of the answer.
const VARIABLES: &str = "SHOW GLOBAL VARIABLES WHERE Variable_name IN \
                         ('version', 'ssl_cert', 'ssl_key', 'pid_file', 'datadir')";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_the_two_is_told_in_its_own_words() {
        let told = |version: &str| Variables::read(&format!("version\t{version}\n")).reload();
        assert_eq!(told("10.11.19-MariaDB-0+deb12u1"), "FLUSH SSL");
        assert_eq!(told("8.4.6"), "ALTER INSTANCE RELOAD TLS");
    }

    #[test]
    fn a_path_may_be_relative_to_the_data() {
        let told =
            Variables::read("datadir\t/var/lib/mysql/\nssl_key\tserver-key.pem\nssl_cert\t\n");
        assert_eq!(told.path("ssl_key"), Some("/var/lib/mysql/server-key.pem".into()));
        assert_eq!(told.path("ssl_cert"), None);
    }
}
