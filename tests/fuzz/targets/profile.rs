//! Declarations in TOML, as far as a library reads them: profiles, with their names, keys and
//! durations, and rate limits. One that is read is the same when read back from the store.
#![no_main]

use acme::limit::Bucket;
use ca::Profile;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(bucket) = text.parse::<Bucket>() {
        assert_eq!(bucket.to_string().parse::<Bucket>().expect("its own text"), bucket);
    }
    if let Ok(duration) = ca::duration::parse(text) {
        let written = ca::duration::format(duration);
        assert_eq!(ca::duration::parse(&written).expect("its own text"), duration);
    }
    let Ok(profile) = toml::from_str::<Profile>(text) else { return };
    let stored = serde_json::to_string(&profile).expect("a profile is JSON");
    assert_eq!(serde_json::from_str::<Profile>(&stored).expect("its own text"), profile);
});
