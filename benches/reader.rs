//! What reading costs, on recorded memory: `cargo bench --bench reader`, with no process.
//!
//! The system calls of a live process are not in it; what is left is ours.

#![allow(clippy::expect_used, reason = "a benchmark that cannot run ends")]
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::fs::File;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use pyconc::catalog::Catalog;
use pyconc::classify::Classifier;
use pyconc::model::{Nanos, Sample, Tables};
use pyconc::python::{Code, Edges, Interpreter, PythonThread, RawFrame, Runtime, StackReader};
use pyconc::sampler::ProcessSampler;
use pyconc::target::{Image, Process, ProcessMemory, syscall_name};

/// The three ways in which frames are found: on the heap, by a holder in chunks, in chunks.
const VERSIONS: [&str; 3] = ["3.8", "3.11", "3.14"];

/// What the benchmarks of one version share.
struct Subject {
    version: &'static str,
    process: Process,
    time: Nanos,
    interpreter: Interpreter<ProcessMemory>,
    /// The thread with the deepest stack, and its frames, innermost first.
    thread: PythonThread,
    frames: Vec<RawFrame>,
}

impl Subject {
    fn new(version: &'static str) -> Self {
        let path = format!("{}/tests/images/{version}.image", env!("CARGO_MANIFEST_DIR"));
        let image = Image::load(File::open(path).expect("it is there")).expect("it is an image");
        let files = image.unpack().expect("its files can be written");
        let process = Process::replay(&files, Arc::new(image.memory).into()).expect("a process");
        let runtime = Runtime::find(&process).expect("it has an interpreter");
        let mut interpreter = Interpreter::new(process.memory(), &runtime).expect("a known one");
        let tids = process.tids().expect("it has threads");
        let threads = interpreter.threads(&tids).expect("it has threads");
        let stacks = threads.into_iter().map(|thread| (thread, frames(&interpreter, thread)));
        let (thread, frames) = stacks.max_by_key(|(_, frames)| frames.len()).expect("a thread");
        Self { version, process, time: image.time, interpreter, thread, frames }
    }

    fn name(&self, what: &str) -> String {
        format!("{what}/{}", self.version)
    }

    fn code(&self) -> Code {
        let frame = self.frames.first().expect("a stack has frames");
        Code::read(self.interpreter.reader(), frame.code).expect("a code object")
    }
}

fn frames(interpreter: &Interpreter<ProcessMemory>, thread: PythonThread) -> Vec<RawFrame> {
    let (mut edges, mut frames) = (Edges::default(), Vec::new());
    StackReader::default()
        .read(interpreter.reader(), &thread, &mut edges, &mut frames)
        .expect("a stack");
    frames
}

/// A stack of 200 frames whose place is known from the last time.
fn stack(criterion: &mut Criterion, subject: &Subject) {
    let (reader, thread) = (subject.interpreter.reader(), subject.thread);
    let (mut stack, mut edges, mut frames) = (StackReader::default(), Edges::default(), Vec::new());
    criterion.bench_function(&subject.name("stack"), |bencher| {
        bencher.iter(|| stack.read(reader, &thread, &mut edges, &mut frames));
    });
    criterion.bench_function(&subject.name("stack for the first time"), |bencher| {
        bencher.iter(|| StackReader::default().read(reader, &thread, &mut edges, &mut frames));
    });
}

/// All threads; each comes with what little the kernel tells from files on disk.
fn sample(criterion: &mut Criterion, subject: &Subject) {
    let process = || subject.process.clone();
    let mut sampler = ProcessSampler::attach(process(), false).expect("it can be sampled");
    let (mut tables, mut sample) = (Tables::default(), Sample::default());
    sample.time = subject.time;
    criterion.bench_function(&subject.name("sample of all threads"), |bencher| {
        bencher.iter(|| {
            sample.time = Nanos(sample.time.0 + Nanos::MILLISECOND.0 / 2);
            sampler.sample(&mut tables, &mut sample)
        });
    });
    criterion.bench_function(&subject.name("attach and first sample"), |bencher| {
        bencher.iter_batched(
            process,
            |process| {
                let mut sampler = ProcessSampler::attach(process, false).expect("as before");
                sampler.sample(&mut Tables::default(), &mut sample)
            },
            BatchSize::SmallInput,
        );
    });
}

fn objects(criterion: &mut Criterion, subject: &Subject) {
    criterion.bench_function(&subject.name("code object"), |bencher| {
        bencher.iter(|| subject.code());
    });
    let idents = std::collections::HashSet::from([subject.thread.ident]);
    criterion.bench_function(&subject.name("name of a thread"), |bencher| {
        bencher.iter(|| subject.interpreter.known_threads(idents.clone()));
    });
}

fn lines(criterion: &mut Criterion, subject: &Subject) {
    let code = subject.code();
    let instruction = subject.frames.first().map_or(0, |frame| frame.instruction);
    criterion.bench_function(&subject.name("line of an instruction"), |bencher| {
        bencher.iter(|| code.line(black_box(instruction)));
    });
}

fn classification(criterion: &mut Criterion, subject: &Subject) {
    let catalog = Catalog::builtin().expect("the catalogue is sound");
    let mut classifier = Classifier::new(&catalog, syscall_name);
    let (mut tables, mut sample) = (Tables::default(), Sample::default());
    sample.time = subject.time;
    let process = subject.process.clone();
    let mut sampler = ProcessSampler::attach(process, false).expect("it can be sampled");
    sampler.sample(&mut tables, &mut sample).expect("it lives");
    criterion.bench_function(&subject.name("classification of all threads"), |bencher| {
        bencher.iter(|| {
            for thread in &sample.threads {
                black_box(classifier.classify(thread, &mut tables));
            }
        });
    });
}

fn reader(criterion: &mut Criterion) {
    for subject in VERSIONS.map(Subject::new) {
        for bench in [stack, sample, objects, lines, classification] {
            bench(criterion, &subject);
        }
    }
}

criterion_group!(benches, reader);
criterion_main!(benches);
