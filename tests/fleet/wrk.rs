//! Requests by `wrk` against one URL, as many as the server answers.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use crate::error::Error;

/// What is sent: a GET, or a POST of the same body again and again.
pub(crate) enum Request<'a> {
    /// Nothing but the URL.
    Get,
    /// With a bearer token.
    Post {
        /// Who asks.
        token: &'a str,
        /// JSON.
        body: &'a str,
    },
}

/// Answers per second over `seconds`, on connections that are kept. An answer that is no success is an
/// error.
pub(crate) async fn rate(
    url: &str,
    request: &Request<'_>,
    folder: &Path,
    seconds: u64,
) -> Result<f64, Error> {
    let mut command = Command::new("wrk");
    command.args(["-t1", "-c", CONNECTIONS, "-d", &format!("{seconds}s")]);
    if let Request::Post { token, body } = request {
        let script = folder.join("post.lua");
        let text = format!(
            "wrk.method = \"POST\"\nwrk.body = [==[{body}]==]\n\
             wrk.headers[\"Authorization\"] = \"Bearer {token}\"\n\
             wrk.headers[\"Content-Type\"] = \"application/json\"\n"
        );
        fs::write(&script, text).map_err(Error::io(format!("write {}", script.display())))?;
        command.arg("-s").arg(script);
    }
    let output = command.arg(url).kill_on_drop(true).output();
    let output = timeout(Duration::from_secs(seconds + 30), output).await;
    let output = output.map_err(|_| Error::Stalled("wrk"))?.map_err(Error::io("run wrk"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let bad = ["Non-2xx", "Socket errors"].into_iter().find(|bad| text.contains(bad));
    let rate =
        text.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok());
    match (bad, rate) {
        (None, Some(rate)) => Ok(rate),
        _ => Err(Error::Nonsense { step: "wrk", what: text }),
    }
}

/// Connections at once.
pub(crate) const CONNECTIONS: &str = "32";
