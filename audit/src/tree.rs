//! The Merkle tree of RFC 9162 §2.1.1: its hashes, its growth leaf by leaf, and its root at any size.
//! Hashes come from whoever keeps them; nothing is kept here but what growth needs.

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::BASE64;

/// A hash of the tree, SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl Hash {
    /// Reads standard Base64 with padding, as checkpoints and proofs have it; none if it is anything else.
    pub fn from_base64(text: &str) -> Option<Self> {
        BASE64.decode(text.as_bytes()).ok()?.try_into().ok().map(Self)
    }
}

impl fmt::Display for Hash {
    /// Standard Base64 with padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The hash of a leaf that holds `data`: never that of an inner node, whatever it holds.
pub fn leaf(data: &[u8]) -> Hash {
    digest(&[&[0], data])
}

/// The hash of the node over two others.
pub fn node(left: Hash, right: Hash) -> Hash {
    digest(&[&[1], &left.0, &right.0])
}

/// A whole subtree: the `index`-th of `2^height` leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// 0: a leaf.
    pub height: u8,
    /// Its place among those of its height.
    pub index: u64,
}

/// Whoever keeps the hashes of a tree.
pub trait Source {
    /// Why a hash cannot be had.
    type Error;

    /// The hash of a whole subtree.
    ///
    /// # Errors
    /// When it cannot be had.
    fn hash(&mut self, node: Node) -> Result<Hash, Self::Error>;
}

impl<E, F: FnMut(Node) -> Result<Hash, E>> Source for F {
    type Error = E;

    fn hash(&mut self, node: Node) -> Result<Hash, E> {
        self(node)
    }
}

/// The root of the tree of the first `size` leaves (RFC 9162 §2.1.1).
///
/// # Errors
/// When the source has not what is needed.
pub fn root<S: Source>(size: u64, source: &mut S) -> Result<Hash, S::Error> {
    range(0, size, source)
}

/// The root of the tree of leaves `start` to `end`, where `start` is where a subtree of that size begins.
pub(crate) fn range<S: Source>(start: u64, end: u64, source: &mut S) -> Result<Hash, S::Error> {
    let width = end - start;
    if width == 0 {
        return Ok(digest(&[]));
    }
    if width.is_power_of_two() {
        return source.hash(Node { height: exponent(width), index: start / width });
    }
    let middle = start + split(width);
    Ok(node(range(start, middle, source)?, range(middle, end, source)?))
}

/// The largest power of two smaller than `width`, which is at least 2.
pub(crate) fn split(width: u64) -> u64 {
    1 << (width - 1).ilog2()
}

/// What growth needs of a tree: the roots of the whole subtrees that it is made of, 64 at the most.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Frontier {
    size: u64,
    /// The largest first.
    roots: Vec<Hash>,
}

impl Frontier {
    /// The frontier of the first `size` leaves.
    ///
    /// # Errors
    /// When the source has not what is needed.
    pub fn resume<S: Source>(size: u64, source: &mut S) -> Result<Self, S::Error> {
        let mut roots = Vec::new();
        let mut start = 0;
        for height in (0..64).rev().filter(|height| size >> height & 1 == 1) {
            roots.push(source.hash(Node { height, index: start >> height })?);
            start += 1 << height;
        }
        Ok(Self { size, roots })
    }

    /// How many leaves there are.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf by its hash; `whole` is told of every subtree that it makes whole, the leaf itself
    /// excepted, the smallest first.
    pub fn append(&mut self, leaf: Hash, mut whole: impl FnMut(Node, Hash)) {
        let (mut hash, mut height) = (leaf, 0_u8);
        while self.size >> height & 1 == 1 {
            let Some(left) = self.roots.pop() else { break };
            hash = node(left, hash);
            height += 1;
            whole(Node { height, index: self.size >> height }, hash);
        }
        self.roots.push(hash);
        self.size += 1;
    }

    /// The root of the tree as it stands.
    pub fn root(&self) -> Hash {
        let mut roots = self.roots.iter().rev().copied();
        let Some(last) = roots.next() else { return digest(&[]) };
        roots.fold(last, |right, left| node(left, right))
    }
}

fn exponent(power: u64) -> u8 {
    u8::try_from(power.trailing_zeros()).unwrap_or(u8::MAX)
}

fn digest(parts: &[&[u8]]) -> Hash {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Hash(hash)
}
