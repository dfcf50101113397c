//! The key-encryption key: lost, exchanged, readable by others. Without it the store is worth
//! nothing, so none of this is ever mended by making a new one.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::assert_says;
use crate::node::Site;
use crate::scene::Home;

#[test]
fn a_key_encryption_key_that_is_not_the_right_one_is_refused() {
    let home = Home::clear("faults-keys");
    let site = Site::alone(&home.directory("node"));
    drop(site.start());
    let (file, store) =
        (site.file("key-encryption-key"), fs::read(site.store()).expect("the store"));
    let right = fs::read_to_string(&file).expect("the key");
    let name = file.display().to_string();

    fs::write(&file, "00".repeat(32)).expect("another key");
    assert_says(&site.refused(), &[&name, "not the one this store was sealed with", "[keys] file"]);
    for (text, what) in [("", "32 bytes"), ("0011", "32 bytes"), ("secret!", "hexadecimal")] {
        fs::write(&file, text).expect("no key");
        assert_says(&site.refused(), &[&name, what]);
    }
    fs::remove_file(&file).expect("the key");
    assert_says(&site.refused(), &[&name, "No such file", "restore it"]);
    assert!(!file.exists(), "a lost key is not replaced");

    fs::write(&file, &right).expect("the key");
    fs::set_permissions(&file, Permissions::from_mode(0o640)).expect("chmod");
    assert_says(&site.refused(), &[&name, "readable by others", "chmod 600"]);
    assert_eq!(fs::read(site.store()).expect("the store"), store, "the store is as it was");

    fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("chmod");
    site.start();
}
