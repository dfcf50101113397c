//! Messages to a chat: JSON as Slack's incoming webhooks take it, and Mattermost, Rocket.Chat, Zulip and
//! others after them. Whoever knows the URL can write there: it is read from a file when it is needed,
//! and never shown.

use url::Url;

use super::{Answer, wire};
use crate::catalog::ChatSpec;
use crate::node::Node;
use crate::perform::obtain::acme::secret;

/// Posts a message.
pub(super) async fn post(node: &Node, spec: &ChatSpec, body: &str) -> Answer {
    let text = match secret::read(&spec.url_file) {
        Ok(text) => text,
        Err(error) => return Answer::Failed(format!("url_file {error}")),
    };
    let url = text.trim();
    let is_url = Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
    if !is_url {
        let path = spec.url_file.display();
        return Answer::Failed(format!(
            "url_file {path}: it holds no https URL; put one line there"
        ));
    }
    wire::post(node, url, spec.roots.as_deref(), &[], body).await
}
