//! What the sampler and the classifier make of a process at one moment, as text.

use std::fmt::Write;

use pyconc::catalog::Catalog;
use pyconc::classify::Classifier;
use pyconc::model::{Nanos, Sample, State, Tables, ThreadSample};
use pyconc::sampler::ProcessSampler;
use pyconc::target::{Process, syscall_name};

/// How often an image is sampled: nothing changes in it, and nothing may change in the text.
const SAMPLES: u64 = 5;

/// The threads of a process that was found so at `time`.
pub fn moment(process: Process, time: Nanos) -> String {
    let catalog = Catalog::builtin().expect("the catalogue is sound");
    let mut classifier = Classifier::new(&catalog, syscall_name);
    let mut sampler = ProcessSampler::attach(process, false).expect("its interpreter is found");
    let (mut tables, mut sample) = (Tables::default(), Sample::default());
    let mut texts: Vec<String> = Vec::new();
    for count in 0..SAMPLES {
        sample.time = Nanos(time.0 + count * Nanos::SECOND.0);
        sampler.sample(&mut tables, &mut sample).expect("it lives");
        assert!(sample.failures.is_empty(), "{:?}", sample.failures);
        let threads = sample.threads.iter().map(|thread| {
            let state = classifier.classify(thread, &mut tables);
            thread_text(thread, &state, &tables, time)
        });
        texts.push(sorted(threads.collect()));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "one sample differs from the next:\n{}", texts.join("\n---\n"));
    format!("CPython {}\n{}", sampler.version(), texts.concat())
}

fn sorted(mut threads: Vec<String>) -> String {
    threads.sort();
    threads.concat()
}

/// A thread: its name, its tag and cause and what they rest on, its stack. Frames that repeat are
/// counted.
fn thread_text(thread: &ThreadSample, state: &State, tables: &Tables, time: Nanos) -> String {
    let info = tables.thread(thread.thread).expect("it is in the tables");
    let (tag, cause) = (state.tag.name(), state.cause.name());
    let mut text = format!("\n{}: {tag}, {cause}, {:?}", info.name, thread.attachment);
    if let Some(descriptor) = state.descriptor.and_then(|id| tables.descriptors.get(id)) {
        write!(text, ", {:?}", descriptor.kind).expect("a string takes all");
    }
    if let Some(note) = tables.note(state) {
        write!(text, ", {note}").expect("a string takes all");
    }
    if let Some(step) = thread.event_loop.and_then(|event_loop| event_loop.step) {
        let kind = if step.exact { "exactly" } else { "about" };
        write!(text, ", in a step for {kind} {:.3} s", time.since(step.started).seconds())
            .expect("a string takes all");
    }
    let lines: Vec<String> = tables
        .lines_of(state.stack)
        .map(|(function, line)| format!("{} {}:{line}", function.name, function.file))
        .collect();
    for same in lines.chunk_by(|one, next| one == next) {
        let times = if same.len() > 1 { format!(" ×{}", same.len()) } else { String::new() };
        write!(text, "\n    {}{times}", same[0]).expect("a string takes all");
    }
    text + "\n"
}
