//! CAA and TXT records as anybody may publish them, a record per line. What forbids must go on
//! forbidding when records that say nothing are put beside it.
#![no_main]

use acme::challenge::{Persist, judge_dns_persist01};
use acme::{ChallengeType, caa};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let records: Vec<caa::Record> = data.split(|&b| b == b'\n').map(record).collect();
    let us = ["ca.example".to_owned()];
    for (wildcard, challenge) in [(false, Some(ChallengeType::Http01)), (true, None)] {
        let account_url = "https://ca.example/acme/default/account/1";
        let question = caa::Question { issuer_domain_names: &us, wildcard, account_url, challenge };
        let verdict = caa::judge(&records, "example.test", &question);
        let mut more = records.clone();
        more.push(caa::Record { flags: 0, tag: "iodef".into(), value: "mailto:a@b".into() });
        let again = caa::judge(&more, "example.test", &question);
        assert_eq!(verdict.is_ok(), again.is_ok(), "iodef permits and forbids nothing");
        let nobody = caa::Question { issuer_domain_names: &[], ..question };
        if caa::judge(&records, "example.test", &nobody).is_ok() {
            assert!(verdict.is_ok(), "what permits a CA without a name permits every CA");
        }
    }
    let txt: Vec<&[u8]> = data.split(|&b| b == b'\n').collect();
    let uris = ["https://ca.example/acme/default/account/1".to_owned()];
    let persist = |wildcard| Persist { issuer_domain_names: &us, account_uris: &uris, wildcard };
    let now = Timestamp::from_second(1_800_000_000).expect("an instant");
    let plain = judge_dns_persist01(&persist(false), "_validation-persist.a.test", &txt, now);
    let wild = judge_dns_persist01(&persist(true), "_validation-persist.a.test", &txt, now);
    assert!(plain.is_ok() || wild.is_err(), "a wildcard is never easier than a name");
});

/// One octet of flags, the tag up to a space, the value.
fn record(line: &[u8]) -> caa::Record {
    let (flags, rest) = line.split_first().map_or((0, line), |(flags, rest)| (*flags, rest));
    let text = String::from_utf8_lossy(rest);
    let (tag, value) = text.split_once(' ').unwrap_or((&text, ""));
    caa::Record { flags, tag: tag.to_owned(), value: value.to_owned() }
}
