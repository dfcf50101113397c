//! What a watch sends: lines, each an event. An error among them is what its status says.

use reqwest::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::connection::failed;
use crate::error::{ClusterError, Status};

/// What happened, `ADDED`, `MODIFIED`, `DELETED` or `BOOKMARK`, and to which object.
///
/// # Errors
/// What the server says, or that it sent no event.
pub(crate) fn event<'a, T: DeserializeOwned>(
    line: &'a [u8],
    server: &str,
) -> Result<(&'a str, T), ClusterError> {
    let broken = |_| ClusterError::broken(server, "its watch sent what is no event");
    let event: Event<'a> = serde_json::from_slice(line).map_err(broken)?;
    if event.kind == "ERROR" {
        let status: Status = serde_json::from_str(event.object.get()).map_err(broken)?;
        let object = event.object.get().as_bytes();
        return Err(ClusterError::answered(server, status.code, object));
    }
    Ok((event.kind, serde_json::from_str(event.object.get()).map_err(broken)?))
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(borrow)]
    object: &'a RawValue,
}

/// The lines of a response.
pub(crate) struct Lines {
    response: Response,
    rest: Vec<u8>,
    server: String,
    /// How long a line may be.
    limit: usize,
}

impl Lines {
    /// Those of `response`, which came from `server`.
    pub(crate) fn new(response: Response, server: String, limit: usize) -> Self {
        Self { response, rest: Vec::new(), server, limit }
    }

    /// The URL of who sends them.
    pub(crate) fn server(&self) -> &str {
        &self.server
    }

    /// The next line; none after the last.
    ///
    /// # Errors
    /// When the connection fails, or a line is too long.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, ClusterError> {
        let mut searched = 0;
        loop {
            if let Some(end) = self.rest[searched..].iter().position(|byte| *byte == b'\n') {
                let tail = self.rest.split_off(searched + end + 1);
                return Ok(Some(std::mem::replace(&mut self.rest, tail)));
            }
            searched = self.rest.len();
            if searched > self.limit {
                let what = format!("its watch sent a line of more than {} bytes", self.limit);
                return Err(ClusterError::broken(&self.server, what));
            }
            let piece = self.response.chunk().await;
            match piece.map_err(|error| failed(&self.server, &error))? {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None => return Ok(None),
            }
        }
    }
}
