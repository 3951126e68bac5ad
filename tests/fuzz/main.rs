//! Damaged images: whatever a process shows, sampling it ends, and in little memory.
//!
//! `PYCONC_FUZZ_ROUNDS` and `PYCONC_FUZZ_SEED` make it last longer and find other damages.

#![cfg(test)]

mod damage;

use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;

use peak_alloc::PeakAlloc;
use pyconc::catalog::Catalog;
use pyconc::classify::Classifier;
use pyconc::model::{Nanos, Sample, Tables};
use pyconc::sampler::ProcessSampler;
use pyconc::target::{Image, Process, RecordedMemory, syscall_name};

use self::damage::{Damage, Subject};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// How much memory sampling a process may take beside the image.
const MOST_MEMORY: usize = 64 << 20;

/// How many pieces of memory, and how many bytes, may be looked at in a case: what stands for an
/// end in good time, which a clock on a busy machine cannot tell. A sound image takes 3,000.
const MOST_READS: u64 = 4_000_000;
const MOST_BYTES: u64 = 1 << 30;

/// Each case attaches and takes so many samples, a second apart: each looks at everything again.
const SAMPLES: u64 = 3;

/// Cases of each kind of damage for each image.
const ROUNDS: u64 = 10;

/// What a case came to.
#[derive(Default)]
struct Outcome {
    sampled: bool,
    reads: u64,
    bytes: u64,
    memory: usize,
}

fn images() -> Vec<(PathBuf, Image)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/images");
    let entries = fs::read_dir(folder).expect("there is a folder of images");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|suffix| suffix == "image"));
    paths.sort();
    let load = |path: PathBuf| {
        let file = File::open(&path).expect("it is there");
        let image = Image::load(file).expect("it is an image");
        (path, image)
    };
    paths.into_iter().map(load).filter(|(_, it)| it.machine == std::env::consts::ARCH).collect()
}

fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

#[test]
fn whatever_a_process_shows_sampling_it_ends_in_little_memory() {
    let rounds = variable("PYCONC_FUZZ_ROUNDS", ROUNDS);
    let first = variable("PYCONC_FUZZ_SEED", 0);
    let catalog = Catalog::builtin().expect("the catalogue is sound");
    let (mut cases, mut sampled, mut reads, mut memory) = (0, 0, 0, 0);
    for (path, image) in images() {
        let subject = Subject::new(image);
        for damage in Damage::ALL {
            for seed in first..first + rounds {
                let what = format!("{} {damage:?} {seed}", path.display());
                let outcome =
                    catch_unwind(AssertUnwindSafe(|| case(&subject, damage, seed, &catalog)));
                let outcome = outcome.unwrap_or_else(|_| panic!("a panic: {what}"));
                assert!(outcome.reads <= MOST_READS, "{} reads: {what}", outcome.reads);
                assert!(outcome.bytes <= MOST_BYTES, "{} bytes read: {what}", outcome.bytes);
                assert!(outcome.memory <= MOST_MEMORY, "{} bytes: {what}", outcome.memory);
                cases += 1;
                sampled += u32::from(outcome.sampled);
                reads = reads.max(outcome.reads);
                memory = memory.max(outcome.memory);
            }
        }
    }
    assert!(cases > 0, "there are no images of this kind of machine");
    eprintln!(
        "{cases} damaged images, {sampled} of them sampled all the same; \
         at most {reads} reads and {} KiB",
        memory >> 10
    );
}

fn case(subject: &Subject, damage: Damage, seed: u64, catalog: &Catalog) -> Outcome {
    let mut random = fastrand::Rng::with_seed(seed);
    let (files, pieces) = subject.damaged(damage, &mut random);
    let memory = Arc::new(RecordedMemory::new(pieces));
    ALLOCATOR.reset_peak_usage();
    let before = ALLOCATOR.current_usage();
    let sampled = Process::replay(&files, Arc::clone(&memory).into())
        .is_ok_and(|process| sample(process, subject.time(), catalog));
    let memory_taken = ALLOCATOR.peak_usage().saturating_sub(before);
    Outcome { sampled, reads: memory.reads(), bytes: memory.bytes(), memory: memory_taken }
}

/// Whether any thread could be sampled.
fn sample(process: Process, start: Nanos, catalog: &Catalog) -> bool {
    let Ok(mut sampler) = ProcessSampler::attach(process, false) else { return false };
    let mut classifier = Classifier::new(catalog, syscall_name);
    let (mut tables, mut sample) = (Tables::default(), Sample::default());
    let mut any = false;
    for count in 0..SAMPLES {
        sample.time = Nanos(start.0 + count * Nanos::SECOND.0);
        if sampler.sample(&mut tables, &mut sample).is_err() {
            return any;
        }
        for thread in &sample.threads {
            classifier.classify(thread, &mut tables);
        }
        any |= !sample.threads.is_empty();
    }
    sampler.version();
    any
}
