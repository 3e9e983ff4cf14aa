//! The tiles of a log's tree as files, in the folders that C2SP tlog-tiles gives them: `tile/<level>/<number>`, 256 hashes in
//! each, and `tile/<level>/<number>.p/<hashes>` for one that is not full yet.
//!
//! They hold nothing that the entries do not give, and can be made anew from them. Only the newest of the tiles that are not
//! full are kept.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::files;
use crate::tree::{Edge, Hash, Tile, WIDTH};

const FOLDER: &str = "tile";

/// Of a full one.
const BYTES: usize = 32 * WIDTH;

/// The tiles in the directory of a log.
#[derive(Debug)]
pub(crate) struct Tiles<'a> {
    dir: &'a Path,
}

impl<'a> Tiles<'a> {
    pub(crate) fn of(dir: &'a Path) -> Self {
        Self { dir }
    }

    /// The first `width` hashes of a tile.
    pub(crate) fn read(&self, level: u32, index: u64, width: usize) -> io::Result<Vec<Hash>> {
        let full = self.full(level, index);
        let bytes = match files::read(&full, BYTES) {
            Err(error) if error.kind() == ErrorKind::NotFound && width < WIDTH => {
                files::read(&partial(&full, width), BYTES)?
            }
            read => read?,
        };
        let (hashes, rest) = bytes.as_chunks::<32>();
        let is_whole = rest.is_empty() && [width, WIDTH].contains(&hashes.len());
        let first = hashes.get(..width).filter(|_| is_whole);
        first.map(<[_]>::to_vec).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "not a tile of that size"))
    }

    /// Hashes of one level, which are in one tile of a tree of `size` entries.
    pub(crate) fn hashes(&self, size: u64, level: u32, from: u64, count: usize) -> io::Result<Vec<Hash>> {
        const OUTSIDE: &str = "not in the tree";
        let (index, at) = (from / WIDTH as u64, (from % WIDTH as u64) as usize);
        let width = ((size >> (8 * level)).saturating_sub(index * WIDTH as u64)).min(WIDTH as u64) as usize;
        let row = self.read(level, index, width)?;
        let part = row.get(at..at + count).map(<[_]>::to_vec);
        part.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, OUTSIDE))
    }

    /// Keeps a tile that is full.
    pub(crate) fn write(&self, tile: &Tile) -> io::Result<()> {
        write(&self.full(tile.level, tile.index), &tile.hashes)
    }

    /// Keeps what is not full of the tiles at an edge, beside those of the edge before.
    pub(crate) fn write_partial(&self, old: &Edge, new: &Edge) -> io::Result<()> {
        let rows = new.partial().filter(|(level, index, row)| !has(old, *level, *index, row.len()));
        rows.into_iter().try_for_each(|(level, index, row)| write(&partial(&self.full(level, index), row.len()), row))
    }

    /// Removes the tiles that were not full at an edge, and have grown since.
    pub(crate) fn remove_partial(&self, old: &Edge, new: &Edge) {
        for (level, index, row) in old.partial().filter(|(level, index, row)| !has(new, *level, *index, row.len())) {
            // What stays costs a few kilobytes.
            let file = partial(&self.full(level, index), row.len());
            fs::remove_file(&file).ok();
            // Only an empty folder goes.
            file.parent().and_then(|folder| fs::remove_dir(folder).ok());
        }
    }

    fn full(&self, level: u32, index: u64) -> PathBuf {
        self.dir.join(name(level, index))
    }
}

/// Whether the tile that is not full at this edge is the same.
fn has(edge: &Edge, level: u32, index: u64, width: usize) -> bool {
    edge.partial().any(|(other, at, row)| (other, at, row.len()) == (level, index, width))
}

/// Where a full tile is, within the directory of its log.
pub(crate) fn name(level: u32, index: u64) -> String {
    let mut parts = vec![format!("{:03}", index % 1000)];
    let mut rest = index / 1000;
    while rest > 0 {
        parts.push(format!("x{:03}", rest % 1000));
        rest /= 1000;
    }
    parts.reverse();
    format!("{FOLDER}/{level}/{}", parts.join("/"))
}

fn partial(full: &Path, width: usize) -> PathBuf {
    let mut folder = full.as_os_str().to_owned();
    folder.push(".p");
    PathBuf::from(folder).join(width.to_string())
}

/// Writes a tile as a whole, in folders that are made for it.
fn write(path: &Path, hashes: &[Hash]) -> io::Result<()> {
    path.parent().map_or(Ok(()), files::make_folder)?;
    files::replace(path, hashes.as_flattened())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::leaf;

    #[test]
    fn names_are_those_of_the_specification() {
        assert_eq!(name(0, 0), "tile/0/000");
        assert_eq!(name(3, 1_234_067), "tile/3/x001/x234/067");
        assert_eq!(partial(Path::new("tile/0/067"), 112), Path::new("tile/0/067.p/112"));
    }

    #[test]
    fn what_is_written_is_read_and_only_that() {
        let folder = tempfile::tempdir().unwrap();
        let tiles = Tiles::of(folder.path());
        let mut edge = Edge::default();
        let mut old = edge.clone();
        for number in 0..700_u32 {
            edge.push(leaf(&number.to_be_bytes()), |tile| tiles.write(&tile).unwrap());
            if number % 50 == 0 {
                tiles.write_partial(&old, &edge).unwrap();
                tiles.remove_partial(&old, &edge);
                old = edge.clone();
            }
        }
        assert_eq!((old.size(), edge.size()), (651, 700));
        let restored = Edge::restore(651, |level, index, width| tiles.read(level, index, width)).unwrap();
        assert_eq!(restored.root(), old.root());
        assert_eq!(tiles.read(0, 0, 256).unwrap().len(), 256);
        assert_eq!(
            tiles.read(0, 1, 3).unwrap(),
            tiles.read(0, 1, 256).unwrap()[..3],
            "a full one has all smaller ones"
        );
        assert_eq!(tiles.hashes(651, 0, 640, 8).unwrap(), tiles.read(0, 2, 139).unwrap()[128..136]);
        for (size, level, from, count) in [(651, 0, 640, 16), (651, 0, 652, 1), (651, 1, 2, 1), (700, 0, 640, 1)] {
            assert!(tiles.hashes(size, level, from, count).is_err(), "{size} {level} {from} {count}");
        }
        let left = fs::read_dir(folder.path().join("tile/0/002.p")).unwrap().count();
        assert_eq!(left, 1, "one that is not full replaces the one before");
        assert!(!folder.path().join("tile/0/001.p").exists());
        // One that was cut off is none.
        fs::write(folder.path().join("tile/0/000"), [0; 8191]).unwrap();
        assert!(tiles.read(0, 0, 256).is_err() && tiles.read(0, 0, 1).is_err());
    }
}
