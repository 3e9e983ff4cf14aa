//! The Merkle tree over the entries of a log (RFC 6962, section 2.1, with SHA-256).
//!
//! One root stands for all entries in their order, and a few hashes show that an entry is under it. Of the tree itself only
//! the right edge is in memory: what is to its left is in full [tiles](crate::tiles), and never changes.

use sha2::{Digest, Sha256};

/// A hash of the tree.
pub(crate) type Hash = [u8; 32];

/// Levels of the tree that are one level of tiles.
const HEIGHT: u32 = 8;

/// Hashes in a full tile.
pub(crate) const WIDTH: usize = 1 << HEIGHT;

/// The hash of one entry: its line, without the newline.
pub(crate) fn leaf(entry: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(entry).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

/// The root over a power of two of hashes that stand side by side; none of no hashes.
fn perfect(hashes: &[Hash]) -> Option<Hash> {
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row
            .chunks(2)
            .map(|pair| if let [left, right] = pair { Some(node(left, right)) } else { None })
            .collect::<Option<_>>()?;
    }
    row.first().copied()
}

/// A tile that is full.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Tile {
    /// How many levels of tiles are below it.
    pub(crate) level: u32,
    /// Its number among those of its level, from the left.
    pub(crate) index: u64,
    /// Its hashes, from the left.
    pub(crate) hashes: Vec<Hash>,
}

/// The right edge of a tree: all that further entries need.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(crate) struct Edge {
    size: u64,
    /// By level of tiles, the hashes in the one that is not full yet.
    levels: Vec<Vec<Hash>>,
}

impl Edge {
    /// The edge of a tree of that size, of which `read` has the tiles: by level, index and how many hashes of it there are.
    pub(crate) fn restore<E>(size: u64, read: impl Fn(u32, u64, usize) -> Result<Vec<Hash>, E>) -> Result<Self, E> {
        let mut levels = Vec::new();
        let mut count = size;
        for level in 0.. {
            if count == 0 {
                break;
            }
            let (index, width) = (count >> HEIGHT, (count % WIDTH as u64) as usize);
            levels.push(if width == 0 { Vec::new() } else { read(level, index, width)? });
            count >>= HEIGHT;
        }
        Ok(Self { size, levels })
    }

    /// How many entries are under it.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Adds an entry, and hands over the tiles that are full with it.
    pub(crate) fn push(&mut self, leaf: Hash, mut full: impl FnMut(Tile)) {
        self.size += 1;
        let (mut hash, mut count) = (leaf, self.size);
        for level in 0.. {
            if self.levels.len() == level {
                self.levels.push(Vec::with_capacity(WIDTH));
            }
            let Some(row) = self.levels.get_mut(level) else { return };
            row.push(hash);
            if row.len() < WIDTH {
                return;
            }
            let hashes = std::mem::replace(row, Vec::with_capacity(WIDTH));
            let Some(above) = perfect(&hashes) else { return };
            count >>= HEIGHT;
            full(Tile { level: level as u32, index: count - 1, hashes });
            hash = above;
        }
    }

    /// The tiles that are not full: their level, index and hashes.
    pub(crate) fn partial(&self) -> impl Iterator<Item = (u32, u64, &[Hash])> {
        let rows = (0..).zip(&self.levels).filter(|(_, row)| !row.is_empty());
        rows.map(|(level, row)| (level, self.size.checked_shr(HEIGHT * (level + 1)).unwrap_or(0), row.as_slice()))
    }

    /// The root of the tree; of no entries the hash of nothing.
    pub(crate) fn root(&self) -> Hash {
        let mut root = None;
        for row in &self.levels {
            // From the right, in trees of a power of two each of which is larger than all to its right together.
            let mut rest = row.as_slice();
            while !rest.is_empty() {
                let (before, last) = rest.split_at(rest.len() - (1 << rest.len().trailing_zeros()));
                let Some(left) = perfect(last) else { break };
                root = Some(root.map_or(left, |right| node(&left, &right)));
                rest = before;
            }
        }
        root.unwrap_or_else(|| Sha256::digest([]).into())
    }
}

/// The hashes that show that the entry `index`, from 0, is in the tree of the first `size` entries, from the one beside it up.
/// `hashes` has those of the tiles: by level, from which on, and how many, which are never of two tiles.
///
/// # Errors
/// Those of `hashes`.
pub(crate) fn path<E>(
    index: u64,
    size: u64,
    hashes: &impl Fn(u32, u64, usize) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, E> {
    let (mut start, mut end, mut beside) = (0, size, Vec::new());
    while end - start > 1 {
        let middle = start + left_part(end - start);
        if index < middle {
            beside.push((middle, end));
            end = middle;
        } else {
            beside.push((start, middle));
            start = middle;
        }
    }
    beside.into_iter().rev().map(|(start, end)| range(start, end, hashes)).collect()
}

/// How many of that many entries, at least two, are left of the root: the largest power of two that is less.
fn left_part(count: u64) -> u64 {
    1 << (count - 1).ilog2()
}

/// The root over the entries of a range, which is one that the tree has.
fn range<E>(start: u64, end: u64, hashes: &impl Fn(u32, u64, usize) -> Result<Vec<Hash>, E>) -> Result<Hash, E> {
    let count = end - start;
    if count.is_power_of_two() {
        let height = count.ilog2();
        let level = height / HEIGHT;
        let row = hashes(level, start >> (HEIGHT * level), 1 << (height % HEIGHT))?;
        return Ok(perfect(&row).unwrap_or_default());
    }
    let middle = start + left_part(count);
    Ok(node(&range(start, middle, hashes)?, &range(middle, end, hashes)?))
}

/// The root of a tree of `size` entries that has the hash `leaf` at `index`, from 0, with these hashes beside the way up; none
/// if so many cannot be (RFC 9162, section 2.1.3.2).
pub(crate) fn root_above(leaf: Hash, index: u64, size: u64, beside: &[Hash]) -> Option<Hash> {
    let mut last = size.checked_sub(1).filter(|last| index <= *last)?;
    let (mut at, mut root) = (index, leaf);
    for hash in beside {
        if last == 0 {
            return None;
        }
        if at % 2 == 1 || at == last {
            root = node(hash, &root);
            while at % 2 == 0 && at != 0 {
                at >>= 1;
                last >>= 1;
            }
        } else {
            root = node(&root, hash);
        }
        at >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(root)
}

/// The hashes that, with those of the entries `wanted`, give the root of the tree of the first `size` entries: of the largest parts
/// without any of them, from the left. `wanted` are numbers from 0, in order and within the tree; `hashes` as for [`path`].
///
/// # Errors
/// Those of `hashes`.
pub(crate) fn around<E>(
    wanted: &[u64],
    size: u64,
    hashes: &impl Fn(u32, u64, usize) -> Result<Vec<Hash>, E>,
) -> Result<Vec<Hash>, E> {
    let (mut parts, mut open) = (Vec::new(), vec![(0, size, wanted)]);
    while let Some((start, end, wanted)) = open.pop() {
        match (wanted, end - start) {
            (_, 0) | ([_, ..], 1) => {}
            ([], _) => parts.push(range(start, end, hashes)?),
            (_, count) => {
                let middle = start + left_part(count);
                let (left, right) = wanted.split_at(wanted.partition_point(|index| *index < middle));
                open.extend([(middle, end, right), (start, middle, left)]);
            }
        }
    }
    Ok(parts)
}

/// The root of a tree of `size` entries of which some are known, by their number from 0 and in order, and for the rest what
/// [`around`] gives; none if these do not go together.
pub(crate) fn root_around(known: &[(u64, Hash)], size: u64, around: &[Hash]) -> Option<Hash> {
    let is_ordered = known.is_sorted_by(|(one, _), (next, _)| one < next);
    if !is_ordered || known.last().is_none_or(|(last, _)| *last >= size) {
        return None;
    }
    let mut around = around.iter();
    let root = root_of_part(known, (0, size), &mut around);
    root.filter(|_| around.next().is_none())
}

/// The same of a part. It calls itself no deeper than a tree is high, and for no part without an entry that is known.
fn root_of_part<'a>(
    known: &[(u64, Hash)],
    (start, end): (u64, u64),
    around: &mut impl Iterator<Item = &'a Hash>,
) -> Option<Hash> {
    match (known, end - start) {
        ([], _) => around.next().copied(),
        ([(_, leaf)], 1) => Some(*leaf),
        (_, 0 | 1) => None,
        (_, count) => {
            let middle = start + left_part(count);
            let (left, right) = known.split_at(known.partition_point(|(index, _)| *index < middle));
            let left = root_of_part(left, (start, middle), around)?;
            let right = root_of_part(right, (middle, end), around)?;
            Some(node(&left, &right))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::convert::Infallible;

    use super::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|number| leaf(&number.to_be_bytes())).collect()
    }

    /// Word by word as RFC 6962 says it.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node(&by_definition(left), &by_definition(right))
            }
        }
    }

    /// An edge, and the hashes of all tiles that it made on the way and has.
    fn grown(leaves: &[Hash]) -> (Edge, HashMap<(u32, u64), Vec<Hash>>) {
        let (mut edge, mut tiles) = (Edge::default(), HashMap::new());
        for leaf in leaves {
            edge.push(*leaf, |tile| {
                assert!(tiles.insert((tile.level, tile.index), tile.hashes).is_none(), "made twice");
            });
        }
        tiles.extend(edge.partial().map(|(level, index, row)| ((level, index), row.to_vec())));
        (edge, tiles)
    }

    /// Hashes of these tiles, as a log on disk gives them.
    fn reader(tiles: &HashMap<(u32, u64), Vec<Hash>>) -> impl Fn(u32, u64, usize) -> Result<Vec<Hash>, Infallible> {
        |level, from, count| {
            let row = tiles.get(&(level, from / WIDTH as u64)).unwrap();
            let at = (from % WIDTH as u64) as usize;
            Ok(row.get(at..at + count).unwrap().to_vec())
        }
    }

    fn sizes() -> impl Iterator<Item = u64> {
        (0..20).chain(250..262).chain([511, 512, 513, 700, 65_535, 65_536, 65_537, 66_000])
    }

    #[test]
    fn the_root_is_the_one_of_the_definition() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(crate::chain::to_hex(&Edge::default().root()), empty);
        // SHA-256 of one zero byte: the hash of an empty entry.
        let of_nothing = "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d";
        assert_eq!(crate::chain::to_hex(&leaf(b"")), of_nothing);
        for size in sizes() {
            let leaves = leaves(size);
            assert_eq!(grown(&leaves).0.root(), by_definition(&leaves), "{size}");
        }
    }

    #[test]
    fn an_edge_is_restored_from_the_tiles() {
        for size in sizes() {
            let (edge, tiles) = grown(&leaves(size));
            let restored = Edge::restore(size, |level, index, width| {
                let row = tiles.get(&(level, index)).unwrap();
                assert_eq!(row.len(), width, "{size}");
                Ok::<_, Infallible>(row.clone())
            });
            let Ok(mut restored) = restored;
            // What is empty may be there or not.
            restored.levels.resize(edge.levels.len(), Vec::new());
            assert_eq!((restored.size(), restored.root()), (size, edge.root()));
            assert_eq!(restored, edge, "{size}");
        }
    }

    #[test]
    fn several_entries_lead_to_the_root_together() {
        for size in sizes().filter(|size| *size > 0) {
            let leaves = leaves(size);
            let (edge, tiles) = grown(&leaves);
            let read = reader(&tiles);
            // Of large trees a few, as each takes as many hashes as there are entries.
            let steps: &[usize] = if size < 1_000 { &[1, 2, 3, 7, 100, 70_000] } else { &[9_999] };
            for &step in steps {
                for first in [0, 1, size / 2, size - 1].into_iter().filter(|first| *first < size) {
                    let wanted: Vec<_> = (first..size).step_by(step).collect();
                    let Ok(around) = around(&wanted, size, &read);
                    let mut known: Vec<_> = wanted.iter().map(|index| (*index, leaves[*index as usize])).collect();
                    let root = Some(edge.root());
                    assert_eq!(root_around(&known, size, &around), root, "{first} {step} of {size}");
                    assert_ne!(root_around(&known, size, &[around.clone(), vec![[0; 32]]].concat()), root);
                    if let Some((_, fewer)) = around.split_last() {
                        assert_eq!(root_around(&known, size, fewer), None);
                    }
                    if known.len() > 1 {
                        let (one, two) = (known[0], known[1]);
                        known.swap(0, 1);
                        assert_eq!(root_around(&known, size, &around), None, "they have an order");
                        (known[0], known[1]) = ((one.0, two.1), (two.0, one.1));
                        assert_ne!(root_around(&known, size, &around), root, "and places");
                        known.remove(0);
                        assert_ne!(root_around(&known, size, &around), root);
                    }
                }
            }
        }
        assert_eq!(root_around(&[], 0, &[]), None);
        assert_eq!(root_around(&[], 5, &[[0; 32]]), None, "of no entry nothing is shown");
        assert!(
            root_around(&[(u64::MAX - 1, [0; 32])], u64::MAX, &[[0; 32]; 63]).is_some(),
            "the largest tree that there can be"
        );
    }

    #[test]
    fn a_path_leads_to_the_root_and_to_no_other() {
        for size in sizes().filter(|size| *size > 0) {
            let leaves = leaves(size);
            let (edge, tiles) = grown(&leaves);
            let read = reader(&tiles);
            for index in (0..size).step_by(1 + size as usize / 40).chain([size - 1]) {
                let (leaf, root) = (leaves[index as usize], edge.root());
                let Ok(path) = path(index, size, &read);
                assert_eq!(root_above(leaf, index, size, &path), Some(root), "{index} of {size}");
                assert!(path.len() <= 17);
                for other in [index + 1, index.wrapping_sub(1), size, u64::MAX] {
                    assert_ne!(root_above(leaf, other, size, &path), Some(root), "{index} of {size} as {other}");
                }
                assert_ne!(root_above([7; 32], index, size, &path), Some(root));
                for at in 0..path.len() {
                    let mut wrong = path.clone();
                    wrong[at][31] ^= 1;
                    assert_ne!(root_above(leaf, index, size, &wrong), Some(root));
                }
                for wrong in [[path.clone(), vec![leaf]].concat(), path[..path.len().saturating_sub(1)].to_vec()] {
                    assert!(wrong == path || root_above(leaf, index, size, &wrong) != Some(root));
                }
            }
        }
        assert_eq!(root_above([0; 32], 0, 0, &[]), None);
    }
}
