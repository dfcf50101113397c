//! What is inside a signed request, which any account may send.
#![no_main]

use acme::request::{
    AccountUpdate, AuthorizationUpdate, ChallengeResponse, Contact, Finalize, NewAccount,
    NewAuthorization, NewOrder, OrdersQuery, RevokeCertificate, post_as_get,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = NewAccount::parse(data);
    let _ = AccountUpdate::parse(data);
    let _ = NewAuthorization::parse(data);
    let _ = AuthorizationUpdate::parse(data);
    let _ = ChallengeResponse::parse(data);
    let _ = Finalize::parse(data);
    let _ = RevokeCertificate::parse(data);
    let _ = NewOrder::parse(data, 100);
    if post_as_get(data).is_ok() {
        assert!(data.is_empty());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = OrdersQuery::parse(text);
        if let Ok(contact) = Contact::parse(text) {
            assert!(Contact::parse(contact.as_str()).is_ok(), "its own text");
        }
    }
});
