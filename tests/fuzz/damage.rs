//! The damages: what a torn read, a defect, another program or malice could put in an image.

use std::collections::BTreeMap;
use std::path::Path;

use fastrand::Rng;
use pyconc::model::Nanos;
use pyconc::target::{Entry, Image, ImageFiles, Pieces};

/// What is done to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Damage {
    /// Bits of its memory are flipped.
    Bits,
    /// The memory ends early.
    Cut,
    /// Parts of the memory are not mapped.
    Holes,
    /// Pointers lead to other places that are mapped, so that lists end nowhere.
    Cycles,
    /// Small numbers, which may be counts and sizes, are giant.
    Counts,
    /// Pointers lead to much memory in which all words are pointers to itself, and plausible
    /// counts: nothing that is read there is refused for not being mapped.
    Maze,
    /// What the kernel tells is other text, or cut, or missing.
    Texts,
}

impl Damage {
    pub const ALL: [Self; 7] =
        [Self::Bits, Self::Cut, Self::Holes, Self::Cycles, Self::Counts, Self::Maze, Self::Texts];
}

/// An image to be damaged, and the words of its memory that are worth it: where they lie.
pub struct Subject {
    image: Image,
    files: ImageFiles,
    pointers: Vec<u64>,
    counts: Vec<u64>,
}

/// Numbers that overflow, or take much memory, or are just beyond some limit.
const GIANT: [u64; 10] = [
    u64::MAX,
    1 << 63,
    1 << 62,
    1 << 40,
    u32::MAX as u64,
    i32::MAX as u64,
    1 << 24,
    1 << 20,
    1 << 18,
    1 << 16,
];

/// Where the maze lies: low enough that its addresses are believable counts.
const MAZE: u64 = 1 << 16;
/// Its length, beyond the largest chunk of frames that is believed.
const MAZE_LEN: u64 = 24 << 20;

impl Subject {
    pub fn new(image: Image) -> Self {
        let files = image.unpack().expect("its files can be written");
        let mut subject = Self { image, files, pointers: Vec::new(), counts: Vec::new() };
        let pieces = subject.image.memory.pieces();
        let is_inside = |address: u64| {
            let piece = pieces.range(..=address).next_back();
            piece.is_some_and(|(start, bytes)| address - start < bytes.len() as u64)
        };
        for (start, bytes) in pieces {
            for (index, word) in bytes.as_chunks::<8>().0.iter().enumerate() {
                let address = start + index as u64 * 8;
                match u64::from_ne_bytes(*word) {
                    value if is_inside(value) => subject.pointers.push(address),
                    1..0x1_0000 => subject.counts.push(address),
                    _ => {}
                }
            }
        }
        subject
    }

    pub fn time(&self) -> Nanos {
        self.image.time
    }

    /// The image's files and its memory, damaged.
    pub fn damaged(&self, damage: Damage, random: &mut Rng) -> (ImageFiles, Pieces) {
        let mut pieces = self.image.memory.pieces().clone();
        // From a single one, which mostly hits nothing of weight, to many.
        let times = 1 << random.u32(..14);
        match damage {
            Damage::Bits => (0..times).for_each(|_| flip(&mut pieces, random)),
            Damage::Cut => cut(&mut pieces, random),
            Damage::Holes => (0..times / 64 + 1).for_each(|_| hole(&mut pieces, random)),
            Damage::Cycles => {
                for _ in 0..times {
                    let other = one_of(&self.pointers, random);
                    let value = word(&pieces, other);
                    set(&mut pieces, one_of(&self.pointers, random), value);
                }
            }
            Damage::Counts => {
                for _ in 0..times {
                    set(&mut pieces, one_of(&self.counts, random), one_of(&GIANT, random));
                }
            }
            Damage::Maze => self.build_maze(&mut pieces, times, random),
            Damage::Texts => return (self.other_texts(random), pieces),
        }
        (self.files.clone(), pieces)
    }

    fn build_maze(&self, pieces: &mut Pieces, times: u32, random: &mut Rng) {
        let spread = one_of(&[8, 64, 4096, 1 << 16, MAZE_LEN], random);
        let place = |random: &mut Rng| MAZE + random.u64(..spread / 8) * 8;
        // Some lead back, so that there are objects of known types. A pattern that repeats is as
        // good as another and quickly made.
        let back = one_of(&[0, 8, 128, 256], random);
        let mut way = |_| match random.u16(..512) < back {
            true => word(pieces, one_of(&self.pointers, random)),
            false => place(random),
        };
        let pattern: Vec<u8> = (0..511).map(&mut way).flat_map(u64::to_ne_bytes).collect();
        pieces.insert(MAZE, pattern.repeat(MAZE_LEN as usize / pattern.len()));
        for _ in 0..times {
            set(pieces, one_of(&self.pointers, random), place(random));
        }
    }

    fn other_texts(&self, random: &mut Rng) -> ImageFiles {
        let mut files = self.image.files.clone();
        for _ in 0..random.u32(1..20) {
            damage_file(&mut files, random);
        }
        // Paths that are no paths are another matter than what the kernel tells.
        let image = Image { files, pid: self.image.pid, ..Image::default() };
        image.unpack().expect("its files can be written")
    }
}

fn damage_file(files: &mut BTreeMap<String, Entry>, random: &mut Rng) {
    let Some(name) = files.keys().nth(random.usize(..files.len().max(1))).cloned() else { return };
    // Without it nothing is tried at all, and most of the damages would be to that.
    if random.u8(..8) == 0 && !Path::new(&name).starts_with("stat") {
        files.remove(&name);
        return;
    }
    let Some(Entry::Text(bytes) | Entry::Link(bytes)) = files.get_mut(&name) else { return };
    match random.u8(..5) {
        0 => bytes.truncate(random.usize(..=bytes.len())),
        1 => {
            let at = random.usize(..=bytes.len());
            bytes.insert(at, one_of(b"\0\xff\n )-:[", random));
        }
        2 => {
            let numbers =
                ["-1", "0", "18446744073709551616", "ffffffffffffffff", "9999999", "running"];
            let text = String::from_utf8_lossy(bytes).into_owned();
            let mut words: Vec<&str> = text.split(' ').collect();
            let at = random.usize(..words.len());
            words[at] = numbers[random.usize(..numbers.len())];
            *bytes = words.join(" ").into_bytes();
        }
        3 => *bytes = bytes.repeat(random.usize(2..50)),
        _ => {
            for _ in 0..random.usize(1..10) {
                if let Some(byte) = bytes.get_mut(random.usize(..64)) {
                    *byte ^= 1 << random.u8(..8);
                }
            }
        }
    }
    // A link leads somewhere, and not too far.
    if let Some(Entry::Link(target)) = files.get_mut(&name) {
        target.retain(|byte| *byte != 0);
        target.truncate(4000);
        target.insert(0, b'x');
    }
}

fn one_of<T: Copy>(items: &[T], random: &mut Rng) -> T {
    items[random.usize(..items.len())]
}

/// The bytes of the piece that `address` lies in, from there on.
fn rest_of(pieces: &mut Pieces, address: u64) -> Option<&mut [u8]> {
    let (start, bytes) = pieces.range_mut(..=address).next_back()?;
    bytes.get_mut((address - start) as usize..)
}

fn word(pieces: &Pieces, address: u64) -> u64 {
    let piece = pieces.range(..=address).next_back();
    let rest = piece.and_then(|(start, bytes)| bytes.get((address - start) as usize..));
    rest.and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_ne_bytes(*word))
}

fn set(pieces: &mut Pieces, address: u64, value: u64) {
    if let Some(word) = rest_of(pieces, address).and_then(|rest| rest.first_chunk_mut::<8>()) {
        *word = value.to_ne_bytes();
    }
}

/// An address in the memory.
fn somewhere(pieces: &Pieces, random: &mut Rng) -> u64 {
    let mut place = random.usize(..pieces.values().map(Vec::len).sum::<usize>().max(1));
    for (start, bytes) in pieces {
        if place < bytes.len() {
            return start + place as u64;
        }
        place -= bytes.len();
    }
    0
}

fn flip(pieces: &mut Pieces, random: &mut Rng) {
    let address = somewhere(pieces, random);
    if let Some(byte) = rest_of(pieces, address).and_then(<[u8]>::first_mut) {
        *byte ^= 1 << random.u8(..8);
    }
}

fn cut(pieces: &mut Pieces, random: &mut Rng) {
    let end = somewhere(pieces, random);
    pieces.split_off(&end);
    if let Some(mut last) = pieces.last_entry() {
        let len = (end - last.key()) as usize;
        last.get_mut().truncate(len);
    }
}

/// Takes away up to three pages.
fn hole(pieces: &mut Pieces, random: &mut Rng) {
    let address = somewhere(pieces, random);
    let Some((&start, bytes)) = pieces.range_mut(..=address).next_back() else { return };
    let tail = bytes.split_off((address - start) as usize);
    let gap = random.usize(1..=3 * 4096);
    if let Some(rest) = tail.get(gap..).filter(|rest| !rest.is_empty()) {
        pieces.insert(address + gap as u64, rest.to_vec());
    }
}
