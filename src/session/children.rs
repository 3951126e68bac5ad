//! A few of the target's workers are sampled beside it, now and then: what a pool's processes spend on
//! messages shows in them and not in the target.

use crate::catalog::Catalog;
use crate::classify::Classifier;
use crate::model::{Cause, ChildProcess, Nanos, Pid, Sample, Tables, WorkerSight};
use crate::sampler::ProcessSampler;
use crate::target::{Process, syscall_name};

/// Workers that are sampled: they are alike.
const MOST: usize = 2;
/// How often they are sampled.
const INTERVAL: Nanos = Nanos(10 * Nanos::MILLISECOND.0);
/// The family of probes for messages between processes.
const MESSAGES: &str = "ipc-";

/// Samples some of the target's workers.
pub(super) struct ChildWatch<'c> {
    catalog: &'c Catalog,
    workers: Vec<Worker<'c>>,
    /// Those that were met, be it in vain.
    met: Vec<Pid>,
    sampled_at: Nanos,
    sight: WorkerSight,
}

struct Worker<'c> {
    sampler: ProcessSampler,
    classifier: Classifier<'c>,
    tables: Tables,
    sample: Sample,
}

impl<'c> ChildWatch<'c> {
    pub(super) const fn new(catalog: &'c Catalog) -> Self {
        Self {
            catalog,
            workers: Vec::new(),
            met: Vec::new(),
            sampled_at: Nanos(0),
            sight: WorkerSight { samples: 0, working: 0, messages: 0 },
        }
    }

    /// What was seen of the workers so far.
    pub(super) const fn sight(&self) -> WorkerSight {
        self.sight
    }

    /// Takes up those of these children that are the target's workers.
    pub(super) fn meet(&mut self, children: &[ChildProcess]) {
        let workers = children.iter().filter(|child| child.same_program && child.cpu > Nanos(0));
        for child in workers.take(MOST) {
            if self.workers.len() >= MOST || self.met.contains(&child.pid) {
                continue;
            }
            self.met.push(child.pid);
            let process = Process::open(child.pid).ok();
            let sampler = process.and_then(|process| ProcessSampler::attach(process, false).ok());
            self.workers.extend(sampler.map(|sampler| Worker {
                sampler,
                classifier: Classifier::new(self.catalog, syscall_name),
                tables: Tables::default(),
                sample: Sample::default(),
            }));
        }
    }

    /// Samples the workers if it is time.
    pub(super) fn follow(&mut self, now: Nanos) {
        if now.since(self.sampled_at) < INTERVAL {
            return;
        }
        self.sampled_at = now;
        let sight = &mut self.sight;
        self.workers.retain_mut(|worker| worker.sample(now, sight));
    }
}

impl Worker<'_> {
    /// Takes a sample; tells whether the worker lives.
    fn sample(&mut self, now: Nanos, sight: &mut WorkerSight) -> bool {
        self.sample.time = now;
        if self.sampler.sample(&mut self.tables, &mut self.sample).is_err() {
            return false;
        }
        sight.samples += 1;
        let (mut works, mut messages) = (false, false);
        for thread in &self.sample.threads {
            let state = self.classifier.classify(thread, &mut self.tables);
            if matches!(state.cause, Cause::Python | Cause::Native) {
                works = true;
                let note = self.tables.note(&state);
                messages |= note.is_some_and(|note| note.starts_with(MESSAGES));
            }
        }
        sight.working += u64::from(works);
        sight.messages += u64::from(messages);
        true
    }
}
