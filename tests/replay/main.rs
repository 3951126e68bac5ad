//! Images of processes, sampled as if the processes were there: same stacks, same states, forever.
//!
//! Every `tests/images/*.image` is a case, and the text beside it what must come out of it. An
//! image is recorded anew when a reader looks at memory or at files of the kernel that no reader
//! looked at before: see `tests/images/record.sh`.

#![cfg(test)]

mod moment;
mod record;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pyconc::target::{Image, Process};

use self::moment::moment;

const IMAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images");

/// The images, and the texts that belong to them.
fn images() -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(IMAGES).expect("there is a folder of images");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let is_image = |path: &PathBuf| path.extension().is_some_and(|suffix| suffix == "image");
    let mut paths: Vec<_> = paths.filter(is_image).collect();
    paths.sort();
    let expected = |path: PathBuf| {
        let text = fs::read_to_string(path.with_extension("expected"));
        let text = text.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, text)
    };
    paths.into_iter().map(expected).collect()
}

fn replay(path: &Path) -> String {
    let image = Image::load(File::open(path).expect("it is there")).expect("it is an image");
    let files = image.unpack().expect("its files can be written");
    let process = Process::replay(&files, Arc::new(image.memory).into()).expect("it is a process");
    moment(process, image.time)
}

#[test]
fn every_image_gives_the_stacks_and_states_of_its_process() {
    let images = images();
    assert!(!images.is_empty(), "no image in {IMAGES}");
    let mut differing = Vec::new();
    for (path, expected) in &images {
        let image = Image::load(File::open(path).expect("it is there")).expect("it is an image");
        if image.machine != std::env::consts::ARCH {
            eprintln!("{} is of another machine, {}", path.display(), image.machine);
            continue;
        }
        let found = replay(path);
        if found != *expected {
            differing.push(format!("{}:\n{}", path.display(), difference(expected, &found)));
        }
    }
    assert!(differing.is_empty(), "\n{}", differing.join("\n"));
}

/// The lines that differ, those that are missing first.
fn difference(expected: &str, found: &str) -> String {
    let without = |sign, one: &str, other: &str| -> String {
        let missing = one.lines().filter(|line| !other.lines().any(|it| it == *line));
        missing.map(|line| format!("{sign} {line}\n")).collect()
    };
    without('-', expected, found) + &without('+', found, expected)
}

#[test]
fn a_damaged_file_is_no_image_or_another() {
    let (path, _) = images().into_iter().next().expect("there is an image");
    let file = fs::read(path).expect("it is there");
    let mut random = fastrand::Rng::with_seed(0);
    for _ in 0..50 {
        assert!(Image::load(&file[..random.usize(..file.len())]).is_err());
        let mut damaged = file.clone();
        for _ in 0..random.usize(1..10) {
            damaged[random.usize(..file.len())] ^= 1 << random.u8(..8);
        }
        let _ = Image::load(&*damaged);
    }
}
