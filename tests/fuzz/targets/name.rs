//! Names, patterns and networks, two to an input. What is read writes itself the same way, and
//! what a pattern covers it also overlaps.
#![no_main]

use acme::request::parse_identifier;
use ca::{DnsName, Identifier, NamePattern};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once(' ').unwrap_or((text, text));
    let identifier = Identifier::parse(first);
    if let Ok(identifier) = &identifier {
        let written = identifier.to_string();
        assert_eq!(&Identifier::parse(&written).expect("its own text"), identifier);
    }
    if let Ok(name) = DnsName::parse(first) {
        assert!(name.as_str().len() <= 253 && name.as_str().is_ascii());
        assert!(!name.is_below(&name) && !name.base().is_wildcard());
        assert!(acme::caa::climb(&name).count() <= 127);
    }
    for kind in ["dns", "ip"] {
        let (kind, value) = (kind.to_owned(), first.to_owned());
        let _ = parse_identifier(&acme::Identifier { kind, value });
    }
    let Ok(pattern) = second.parse::<NamePattern>() else { return };
    assert_eq!(pattern.to_string().parse::<NamePattern>().expect("its own text"), pattern);
    if let Ok(identifier) = identifier {
        assert!(pattern.overlaps(&identifier) || !pattern.covers(&identifier));
    }
});
