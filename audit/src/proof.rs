//! Proofs: that a leaf is in a tree (RFC 9162 §2.1.3), and that a tree is the beginning of another
//! (§2.1.4). Made from whoever keeps the hashes; verified from what was handed over alone.

use crate::tree::{Hash, Source, node, range, split};

/// A proof does not show what it is said to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the proof does not show it")]
pub struct Unproven;

/// The proof that the leaf at `position` is in the tree of the first `size` leaves (RFC 9162 §2.1.3.1).
/// `position` must be smaller than `size`.
///
/// # Errors
/// When the source has not what is needed.
pub fn inclusion<S: Source>(
    position: u64,
    size: u64,
    source: &mut S,
) -> Result<Vec<Hash>, S::Error> {
    let mut proof = Vec::new();
    let (mut start, mut end) = (0, size);
    while end - start > 1 {
        let middle = start + split(end - start);
        if position < middle {
            proof.push(range(middle, end, source)?);
            end = middle;
        } else {
            proof.push(range(start, middle, source)?);
            start = middle;
        }
    }
    proof.reverse();
    Ok(proof)
}

/// The proof that the tree of the first `old` leaves is the beginning of that of the first `new` (RFC 9162
/// §2.1.4.1). It is empty where they are the same, and where there is nothing to prove of an empty tree.
/// `old` must not be larger than `new`.
///
/// # Errors
/// When the source has not what is needed.
pub fn consistency<S: Source>(old: u64, new: u64, source: &mut S) -> Result<Vec<Hash>, S::Error> {
    let mut proof = Vec::new();
    if old == 0 || old == new {
        return Ok(proof);
    }
    let (mut start, mut end) = (0, new);
    while old != end {
        let middle = start + split(end - start);
        if old <= middle {
            proof.push(range(middle, end, source)?);
            end = middle;
        } else {
            proof.push(range(start, middle, source)?);
            start = middle;
        }
    }
    if start > 0 {
        // Whoever verifies knows the old root, which this is where nothing stands before it.
        proof.push(range(start, end, source)?);
    }
    proof.reverse();
    Ok(proof)
}

/// Checks that `leaf` is at `position` in the tree of `size` leaves with this root (RFC 9162 §2.1.3.2).
///
/// # Errors
/// When the proof does not show it.
pub fn verify_inclusion(
    leaf: Hash,
    position: u64,
    (size, root): (u64, Hash),
    proof: &[Hash],
) -> Result<(), Unproven> {
    if position >= size {
        return Err(Unproven);
    }
    let (mut at, mut last, mut hash) = (position, size - 1, leaf);
    for &sibling in proof {
        if last == 0 {
            return Err(Unproven);
        }
        if at & 1 == 1 || at == last {
            hash = node(sibling, hash);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            hash = node(hash, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    if last == 0 && hash == root { Ok(()) } else { Err(Unproven) }
}

/// Checks that the tree of `old.0` leaves with root `old.1` is the beginning of the tree of `new.0` leaves
/// with root `new.1` (RFC 9162 §2.1.4.2). Of an empty tree every tree is a continuation.
///
/// # Errors
/// When the proof does not show it.
pub fn verify_consistency(
    old: (u64, Hash),
    new: (u64, Hash),
    proof: &[Hash],
) -> Result<(), Unproven> {
    let shown = |is: bool| if is { Ok(()) } else { Err(Unproven) };
    if old.0 > new.0 {
        return Err(Unproven);
    }
    if old.0 == new.0 {
        return shown(old.1 == new.1 && proof.is_empty());
    }
    if old.0 == 0 {
        return shown(proof.is_empty());
    }
    let (mut at, mut last) = (old.0 - 1, new.0 - 1);
    while at & 1 == 1 {
        (at, last) = (at >> 1, last >> 1);
    }
    // The whole old tree is one subtree of the new one: its root begins the proof, and is known.
    let known = [old.1];
    let mut hashes = if old.0.is_power_of_two() { known.iter() } else { [].iter() }.chain(proof);
    let Some(&first) = hashes.next() else { return Err(Unproven) };
    let (mut before, mut after) = (first, first);
    for &sibling in hashes {
        if last == 0 {
            return Err(Unproven);
        }
        if at & 1 == 1 || at == last {
            before = node(sibling, before);
            after = node(sibling, after);
            while at & 1 == 0 && at != 0 {
                (at, last) = (at >> 1, last >> 1);
            }
        } else {
            after = node(after, sibling);
        }
        (at, last) = (at >> 1, last >> 1);
    }
    shown(before == old.1 && after == new.1 && last == 0)
}
