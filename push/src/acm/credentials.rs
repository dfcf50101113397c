//! As whom AWS is asked: keys from the environment, from the file that its tools share, or from what a
//! container or an instance is told at its own local address. Nothing of them is kept between calls,
//! since those of a role change by the hour.

use std::env;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use reqwest::{Client, RequestBuilder, redirect::Policy};
use serde::Deserialize;
use url::{Host, Url};
use zeroize::Zeroizing;

use super::answer;
use crate::disk::{self, blocking};
use crate::error::PushError;

/// A key of AWS.
#[derive(Clone)]
pub(super) struct Credentials {
    pub(super) id: String,
    pub(super) secret: Zeroizing<String>,
    /// That of a session, where the key is one for a while.
    pub(super) token: Option<Zeroizing<String>>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Credentials {
    pub(super) fn new(id: &str, secret: &str, token: Option<&str>) -> Self {
        let token = token.filter(|token| !token.is_empty());
        Self {
            id: id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
            token: token.map(|token| Zeroizing::new(token.to_owned())),
        }
    }

    /// Those that are declared, else the first that are found, in the order of AWS's own tools.
    pub(super) async fn find(
        file: Option<&Path>,
        profile: Option<&str>,
    ) -> Result<Self, PushError> {
        if file.is_some() || profile.is_some() {
            let profile = profile.unwrap_or(DEFAULT);
            return from_file(file, profile).await?.ok_or_else(|| {
                let file = file.map_or("~/.aws/credentials".into(), Path::to_string_lossy);
                PushError::Declaration(format!(
                    "{file} has no aws_access_key_id and aws_secret_access_key under [{profile}]: write \
                     them there, or name another credentials_file or profile"
                ))
            });
        }
        if let (Some(id), Some(secret)) = (set("AWS_ACCESS_KEY_ID"), set("AWS_SECRET_ACCESS_KEY")) {
            return Ok(Self::new(&id, &secret, set("AWS_SESSION_TOKEN").as_deref().map(|t| &**t)));
        }
        let profile = set("AWS_PROFILE");
        let profile = profile.as_ref().map_or(DEFAULT, |name| name.as_str());
        if let Some(found) = from_file(None, profile).await? {
            return Ok(found);
        }
        from_service().await
    }
}

async fn from_file(file: Option<&Path>, profile: &str) -> Result<Option<Credentials>, PushError> {
    let shared = || Some(PathBuf::from(set("AWS_SHARED_CREDENTIALS_FILE")?.as_str()));
    let home = || Some(Path::new(&env::var_os("HOME")?).join(".aws/credentials"));
    let Some(path) = file.map(Path::to_owned).or_else(shared).or_else(home) else {
        return Ok(None);
    };
    let name = profile.to_owned();
    blocking(move || {
        let Some(content) = disk::read(&path)? else { return Ok(None) };
        let text = std::str::from_utf8(&content)
            .map_err(|_| PushError::Declaration(format!("{}: it is no text", path.display())))?;
        Ok(of_profile(text, &name))
    })
    .await
}

/// The keys under `[profile]` in the file that AWS's tools share.
fn of_profile(text: &str, profile: &str) -> Option<Credentials> {
    let (mut inside, mut id, mut secret, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if let Some((key, value)) = line.split_once('=').filter(|_| inside) {
            match key.trim() {
                "aws_access_key_id" => id = Some(value.trim()),
                "aws_secret_access_key" => secret = Some(value.trim()),
                "aws_session_token" => token = Some(value.trim()),
                _ => {}
            }
        }
    }
    Some(Credentials::new(id?, secret?, token))
}

/// What a container or an instance is told of its role.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Role {
    access_key_id: String,
    secret_access_key: Zeroizing<String>,
    token: Option<Zeroizing<String>>,
}

async fn from_service() -> Result<Credentials, PushError> {
    let unknown = |why: String| {
        PushError::Declaration(format!(
            "there are no credentials for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or write \
             ~/.aws/credentials, or run where there is a role ({why})"
        ))
    };
    let client = Client::builder().no_proxy().redirect(Policy::none()).timeout(LOCAL);
    let client = client.build().map_err(|error| unknown(answer::cause(&error)))?;
    let role = match container().await? {
        Some((url, token)) => {
            let request = client.get(&url);
            let request = match token {
                Some(token) => request.header("Authorization", token.trim()),
                None => request,
            };
            ask(request).await
        }
        None => {
            let base = set("AWS_EC2_METADATA_SERVICE_ENDPOINT");
            instance(&client, base.as_deref().map_or(INSTANCE, String::as_str)).await
        }
    };
    let role: Role = serde_json::from_slice(&role.map_err(unknown)?)
        .map_err(|_| unknown("what was answered about it is none".into()))?;
    Ok(Credentials::new(
        &role.access_key_id,
        &role.secret_access_key,
        role.token.as_ref().map(|token| token.as_str()),
    ))
}

/// Whether the token of a container may be sent there, as AWS's own programs have it.
fn is_trusted(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return false };
    let plain = url.username().is_empty() && url.password().is_none();
    let known = match url.host() {
        Some(Host::Ipv4(address)) => {
            let [ecs, eks] = [[169, 254, 170, 2], [169, 254, 170, 23]].map(Ipv4Addr::from);
            address.is_loopback() || address == ecs || address == eks
        }
        Some(Host::Ipv6(address)) => address.is_loopback() || address == EKS,
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    plain && (url.scheme() == "https" || url.scheme() == "http" && known)
}

/// Where a container of ECS or EKS is told of its role, and with which token.
async fn container() -> Result<Option<(String, Option<Zeroizing<String>>)>, PushError> {
    let relative = set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    let relative = relative.map(|path| format!("http://169.254.170.2{}", path.as_str()));
    let full = || set("AWS_CONTAINER_CREDENTIALS_FULL_URI").map(|url| url.to_string());
    let Some(url) = relative.or_else(full) else { return Ok(None) };
    if !is_trusted(&url) {
        return Err(PushError::Declaration(
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI is a path that begins with /, and \
             AWS_CONTAINER_CREDENTIALS_FULL_URI https, or http to this machine or the addresses of ECS and EKS: \
             a token is sent there"
                .into(),
        ));
    }
    let Some(file) = set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") else {
        return Ok(Some((url, set("AWS_CONTAINER_AUTHORIZATION_TOKEN"))));
    };
    blocking(move || {
        let content = disk::read(Path::new(file.as_str()))?.unwrap_or_default();
        let token = Zeroizing::new(String::from_utf8_lossy(&content).into_owned());
        Ok(Some((url, Some(token))))
    })
    .await
}

/// The role of an instance of EC2 (version 2 of its metadata service).
async fn instance(client: &Client, base: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let base = base.trim_end_matches('/');
    let request = client.put(format!("{base}/latest/api/token"));
    let token = ask(request.header("X-aws-ec2-metadata-token-ttl-seconds", "300")).await?;
    let token = Zeroizing::new(String::from_utf8_lossy(&token).into_owned());
    let read =
        |url: String| ask(client.get(url).header("X-aws-ec2-metadata-token", token.as_str()));
    let roles = format!("{base}/latest/meta-data/iam/security-credentials/");
    let listed = read(roles.clone()).await?;
    let listed = String::from_utf8_lossy(&listed);
    let role = listed.lines().next().filter(|role| !role.is_empty());
    read(format!("{roles}{}", role.ok_or("the instance has no role")?)).await
}

async fn ask(request: RequestBuilder) -> Result<Zeroizing<Vec<u8>>, String> {
    let response = request.send().await.map_err(|error| answer::cause(&error))?;
    match response.status() {
        status if status.is_success() => answer::body(response, MAX_ROLE).await,
        status => Err(format!("the metadata service answered {status}")),
    }
}

/// A variable that is there and not empty.
fn set(name: &str) -> Option<Zeroizing<String>> {
    env::var(name).ok().filter(|value| !value.is_empty()).map(Zeroizing::new)
}

const DEFAULT: &str = "default";
const INSTANCE: &str = "http://169.254.169.254";
const LOCAL: Duration = Duration::from_secs(3);
const MAX_ROLE: usize = 64 * 1024;

/// Where the agent for the roles of pods answers over IPv6.
const EKS: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23);

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    const SHARED: &str = "[default]\naws_access_key_id = AKIA1\naws_secret_access_key=one=\n\
                          # more\n[ other ]\naws_access_key_id=AKIA2\naws_secret_access_key = two\n\
                          aws_session_token = three\n[half]\naws_access_key_id = AKIA3\n";

    #[test]
    fn the_shared_file_has_keys_by_profile() {
        let found = of_profile(SHARED, "default").expect("keys");
        assert_eq!((found.id.as_str(), found.secret.as_str()), ("AKIA1", "one="));
        assert!(found.token.is_none());
        let found = of_profile(SHARED, "other").expect("keys");
        assert_eq!(found.token.as_ref().map(|token| token.as_str()), Some("three"));
        assert!(of_profile(SHARED, "half").is_none() && of_profile(SHARED, "none").is_none());
    }

    #[tokio::test]
    async fn an_instance_tells_the_keys_of_its_role_to_who_has_a_token() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("an address");
        let base = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = std::thread::spawn(move || {
            for answer in
                ["token-1", "web\n", r#"{"AccessKeyId":"ASIA","SecretAccessKey":"s","Token":"t"}"#]
            {
                let (mut stream, _) = listener.accept().expect("a connection");
                let mut asked = [0; 2048];
                let length = stream.read(&mut asked).expect("a request");
                let asked = String::from_utf8_lossy(&asked[..length]).into_owned();
                let has_token = asked.contains("x-aws-ec2-metadata-token: token-1\r\n");
                let status = if asked.starts_with("PUT /latest/api/token ") || has_token {
                    200
                } else {
                    401
                };
                let length = answer.len();
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status} So\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{answer}"
                );
            }
        });
        let client = Client::builder().no_proxy().build().expect("a client");
        let role = instance(&client, &base).await.expect("a role");
        let role: Role = serde_json::from_slice(&role).expect("keys");
        assert_eq!((role.access_key_id.as_str(), role.secret_access_key.as_str()), ("ASIA", "s"));
        server.join().expect("it ends");
        assert!(instance(&client, &base).await.is_err(), "nobody is there now");
    }

    #[test]
    fn a_token_goes_where_containers_are_told_of_their_role() {
        for good in [
            "http://169.254.170.2/v2/credentials/1",
            "http://169.254.170.23/v1/credentials",
            "http://[fd00:ec2::23]/v1/credentials",
            "http://127.0.0.1:8080/x",
            "https://roles.example/x",
        ] {
            assert!(is_trusted(good), "{good}");
        }
        for bad in [
            "http://169.254.170.2@evil.example/x",
            "http://169.254.170.2.evil.example/x",
            "http://roles.example/x",
            "ftp://127.0.0.1/x",
            "",
        ] {
            assert!(!is_trusted(bad), "{bad}");
        }
    }

    #[test]
    fn nothing_shows_the_secret() {
        let shown = format!("{:?}", of_profile(SHARED, "other").expect("keys"));
        assert!(
            shown.contains("AKIA2") && !shown.contains("two") && !shown.contains("three"),
            "{shown}"
        );
    }
}
