//! Certification requests. One that is accepted has a key that is not weak, and names that read
//! back as themselves.
#![no_main]

use ca::{Csr, Identifier};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(csr) = Csr::parse(data) else { return };
    assert!(ca::weak::check_numbers(csr.public_key()).is_ok());
    for name in csr.identifiers() {
        assert_eq!(&Identifier::parse(&name.to_string()).expect("its own text"), name);
    }
    let _ = csr.must_staple();
});
