//! Problem documents, as they are stored with an order and read back. One that is read writes
//! itself the same way.
#![no_main]

use acme::Problem;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(problem) = serde_json::from_slice::<Problem>(data) else { return };
    let text = serde_json::to_vec(&problem).expect("a problem is JSON");
    assert_eq!(serde_json::from_slice::<Problem>(&text).expect("its own text"), problem);
    let _ = Problem::from_subproblems(problem.subproblems.clone());
});
