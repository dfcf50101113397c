//! The files that pages name: style and scripts, in the program, each at an address that changes with what
//! it says, so that browsers keep them for good.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

/// A file that pages name.
#[derive(Debug)]
pub struct Asset {
    /// Its name under `/ui/`.
    pub name: &'static str,
    /// Its media type.
    pub kind: &'static str,
    /// What it says.
    pub text: &'static str,
    /// Of what it says; not a cryptographic one, since nobody else chooses that.
    pub digest: String,
}

/// The file of this name.
#[must_use]
pub fn asset(name: &str) -> Option<&'static Asset> {
    ASSETS.iter().find(|asset| asset.name == name)
}

/// Where pages find the file of this name.
pub(crate) fn address(name: &str) -> String {
    let digest = asset(name).map_or("", |asset| asset.digest.as_str());
    format!("/ui/{name}?v={digest}")
}

static ASSETS: LazyLock<[Asset; 4]> = LazyLock::new(|| {
    const SCRIPT: &str = "text/javascript; charset=utf-8";
    [
        made("style.css", "text/css; charset=utf-8", include_str!("../assets/style.css")),
        made("theme.js", SCRIPT, include_str!("../assets/theme.js")),
        made("live.js", SCRIPT, include_str!("../assets/live.js")),
        made("icon.svg", "image/svg+xml", include_str!("../assets/icon.svg")),
    ]
});

fn made(name: &'static str, kind: &'static str, text: &'static str) -> Asset {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Asset { name, kind, text, digest: format!("{:016x}", hasher.finish()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_comes_from_elsewhere() {
        for asset in ASSETS.iter() {
            let named = asset.text.replace("http://www.w3.org/2000/svg", "");
            for elsewhere in ["http://", "https://", "//cdn", "@import", "eval(", "innerHTML"] {
                assert!(!named.contains(elsewhere), "{} has {elsewhere}", asset.name);
            }
            assert!(address(asset.name).ends_with(&asset.digest));
        }
    }
}
