//! Tokens: how fast they are signed inside a process, beside the bare library on the same bytes, and
//! how fast through the API, one by one and in batches.

use std::hint::black_box;
use std::time::{Duration, Instant};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use jiff::{SignedDuration, Timestamp};
use jwks::token::{Bounds, Signer};
use jwks::{Algorithm, Kid, PrivateKey};

use crate::arguments::Arguments;
use crate::error::Error;
use crate::grid::grid;
use crate::keysets::declared;
use crate::node::Ground;
use crate::published::median;
use crate::wrk::{Request, rate};

/// Both; gives two tables.
pub(crate) async fn measure(arguments: &Arguments) -> Result<String, Error> {
    let inside = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256].map(|algorithm| {
        eprintln!("signed: {}", algorithm.name());
        inside(algorithm, arguments.turns.max(1))
    });
    let inside = inside.into_iter().collect::<Result<Vec<_>, _>>()?;
    let through = through_the_api(arguments).await?;
    Ok(format!(
        "Signed inside the process, one thread\n\n{}\nToken: a payload is signed and written. Claims: \
         they are read, bounded and completed before.\n\nSigned through the API, ES256\n\n{}",
        grid(INSIDE, inside),
        grid(THROUGH, through)
    ))
}

/// One algorithm: the bare library, tokens of a payload, tokens of claims, in turns.
fn inside(algorithm: Algorithm, turns: usize) -> Result<[String; 6], Error> {
    let cannot = |_| Error::Crypto("make a signing key");
    let key = PrivateKey::generate(algorithm, 2048).map_err(cannot)?;
    let kid = Kid::of(key.public_key());
    let signer = Signer::new(key, kid);
    let bounds = bounds()?;
    let now = Timestamp::now();
    let payload = bounds.claims(CLAIMS.as_bytes(), JTI, now).map_err(|_| Error::Crypto("claim"))?;
    let token = signer.jwt(&payload).map_err(|_| Error::Crypto("sign"))?;
    let signed = token.rsplit_once('.').map_or("", |(signed, _)| signed);
    let bare = bare(algorithm)?;
    let (mut raw, mut tokens, mut claims) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..turns {
        raw.push(per_second(|| drop(black_box(bare(signed.as_bytes())))));
        tokens.push(per_second(|| drop(black_box(signer.jwt(&payload)))));
        claims.push(per_second(|| {
            let payload = bounds.claims(CLAIMS.as_bytes(), JTI, now);
            drop(black_box(payload.and_then(|payload| signer.jwt(&payload))));
        }));
    }
    let ratio = |of: &[f64]| median(of.iter().zip(&raw).map(|(a, b)| a / b).collect());
    let share = [ratio(&tokens), ratio(&claims)].map(|share| format!("{:.0} %", share * 100.0));
    let [of_tokens, of_claims] = share;
    let rate = |of: Vec<f64>| format!("{:.0}", median(of));
    let row = [rate(raw.clone()), rate(tokens), of_tokens, rate(claims), of_claims];
    let [raw, tokens, of_tokens, claims, of_claims] = row;
    Ok([algorithm.name().into(), raw, tokens, of_tokens, claims, of_claims])
}

type Bare = Box<dyn Fn(&[u8]) -> Vec<u8>>;

/// The library alone, with a key of its own.
fn bare(algorithm: Algorithm) -> Result<Bare, Error> {
    let cannot = |_| Error::Crypto("make a bare key");
    Ok(match algorithm {
        Algorithm::Es256 => {
            let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(cannot)?;
            let random = SystemRandom::new();
            Box::new(move |m| {
                key.sign(&random, m).map_or_else(|_| Vec::new(), |s| s.as_ref().into())
            })
        }
        Algorithm::EdDsa => {
            let key = Ed25519KeyPair::generate().map_err(cannot)?;
            Box::new(move |m| key.sign(m).as_ref().into())
        }
        _ => {
            let key = RsaKeyPair::generate(rsa::KeySize::Rsa2048).map_err(cannot)?;
            let random = SystemRandom::new();
            let length = key.public_modulus_len();
            debug_assert!(!key.public_key().as_ref().is_empty());
            Box::new(move |m| {
                let mut signature = vec![0; length];
                let _ = key.sign(&RSA_PKCS1_SHA256, &random, m, &mut signature);
                signature
            })
        }
    })
}

/// How often in a second, measured over a while.
fn per_second(mut act: impl FnMut()) -> f64 {
    let (began, mut times) = (Instant::now(), 0_u32);
    while began.elapsed() < WHILE {
        for _ in 0..16 {
            act();
        }
        times += 16;
    }
    f64::from(times) / began.elapsed().as_secs_f64()
}

async fn through_the_api(arguments: &Arguments) -> Result<Vec<[String; 3]>, Error> {
    let ground = Ground::clear(arguments).await?;
    let node = ground.start(false).await?;
    node.apply(&declared(0..1)).await?;
    let made = node.run(&["token", "create", "bench", "--keyset", "k0"]).await?;
    let token = made.split_whitespace().find(|word| word.starts_with(TOKEN)).ok_or_else(|| {
        Error::Nonsense { step: "token create", what: "there is no token in its answer".into() }
    })?;
    let url = format!("{}/api/v1/keysets/k0/sign", node.origin());
    let mut rows = Vec::new();
    for batch in [1_u32, 16, 256] {
        eprintln!("signed: through the API, {batch} at once");
        let body = match batch {
            1 => format!("{{\"claims\":{CLAIMS}}}"),
            many => {
                let all = vec![CLAIMS; many as usize].join(",");
                format!("{{\"batch\":[{all}]}}")
            }
        };
        let request = Request::Post { token, body: &body };
        let rate = rate(&url, &request, &ground.folder, arguments.seconds.max(1)).await?;
        let tokens = rate * f64::from(batch);
        rows.push([batch.to_string(), format!("{rate:.0}"), format!("{tokens:.0}")]);
    }
    node.server.stop().await?;
    Ok(rows)
}

fn bounds() -> Result<Bounds, Error> {
    let pattern = |text: &str| text.parse().map_err(|_| Error::Crypto("read a pattern"));
    Ok(Bounds {
        issuer: "https://issuer.example.com".into(),
        longest: SignedDuration::from_hours(1),
        audiences: vec![pattern("https://api.example.com")?],
        subjects: vec![pattern("worker-*")?],
        max_payload: Bounds::MAX_PAYLOAD,
    })
}

const CLAIMS: &str = r#"{"aud":"https://api.example.com","sub":"worker-7","scope":"read write"}"#;
const JTI: &str = "0123456789abcdef0123456789abcdef";
const TOKEN: &str = "perennial_";
const WHILE: Duration = Duration::from_millis(700);
const INSIDE: [&str; 6] = ["algorithm", "bare/s", "tokens/s", "of bare", "claims/s", "of bare"];
const THROUGH: [&str; 3] = ["in a request", "requests/s", "tokens/s"];
