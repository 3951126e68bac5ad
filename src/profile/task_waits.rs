//! What the tasks wait for, in classes that tell whose turn it is.

use rustc_hash::FxHashMap;

use crate::model::{AwaitKind, Nanos, TaskLook, TaskState};

/// Peers that are told apart.
const MOST_PEERS: usize = 1 << 10;

/// Up to which age a task that sleeps is one of those that come and go.
const YOUNG: Nanos = Nanos(1_500 * Nanos::MILLISECOND.0);

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskWait {
    /// A server's: its answer.
    Answer,
    /// A client's: its next request.
    Request,
    /// A child process's.
    Child,
    /// A worker's, of a pool of threads or processes.
    Job,
    /// Nobody's: a task that goes on and on sleeps.
    Sleep,
    /// Nobody's: a task that comes and goes sleeps, as a request's does that is limited in its pace.
    Pause,
    /// Another task's of the same process.
    Task,
    /// That could not be told.
    Unknown,
}

impl TaskWait {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Answer,
        Self::Request,
        Self::Child,
        Self::Job,
        Self::Sleep,
        Self::Pause,
        Self::Task,
        Self::Unknown,
    ];

    /// The stable name that files use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Request => "request",
            Self::Child => "child",
            Self::Job => "job",
            Self::Sleep => "sleep",
            Self::Pause => "pause",
            Self::Task => "task",
            Self::Unknown => "unknown",
        }
    }
}

/// How many tasks waited for whom.
#[derive(Debug, Clone, Default)]
pub struct TaskWaits {
    /// At how many looks there were any, by class.
    looks: [u64; TaskWait::ALL.len()],
    /// Their number at each look, added up, by class.
    tasks: [f64; TaskWait::ALL.len()],
    /// Those that waited for an answer, by the server's address.
    by_peer: FxHashMap<Box<str>, f64>,
}

impl TaskWaits {
    /// Counts a look; the first one cannot know who has just come.
    pub(super) fn add(&mut self, look: &TaskLook, first: bool) {
        let mut tasks = [0.0; TaskWait::ALL.len()];
        let mut count = |wait: TaskWait, more: f64| {
            if let Some(sum) = tasks.get_mut(wait as usize) {
                *sum += more;
            }
        };
        let waiting = look.groups.iter().filter(|(group, _)| group.state == TaskState::Waiting);
        let mut others = 0.0;
        for (group, of_group) in waiting {
            let number = f64::from(of_group.tasks);
            let young = !first && look.time.since(of_group.oldest) < YOUNG;
            match group.awaits.and_then(|kind| class(kind, young)) {
                Some(wait) => count(wait, number),
                None => others += number,
            }
        }
        // Those that were asked stand for all that may wait for a peer.
        let network = &look.network;
        let scale = f64::from(network.tasks) / f64::from(network.asked.max(1));
        for (peer, number) in &network.answers {
            let number = f64::from(*number) * scale;
            count(TaskWait::Answer, number);
            others -= number;
            if self.by_peer.len() < MOST_PEERS || self.by_peer.contains_key(peer) {
                *self.by_peer.entry(peer.clone()).or_default() += number;
            }
        }
        let requests = f64::from(network.requests) * scale;
        count(TaskWait::Request, requests);
        count(TaskWait::Unknown, others - requests);
        for ((sum, looks), tasks) in self.tasks.iter_mut().zip(&mut self.looks).zip(tasks) {
            *sum += tasks.max(0.0);
            *looks += u64::from(tasks >= 0.5);
        }
    }

    /// At how many looks some task waited so.
    #[must_use]
    pub fn looks(&self, wait: TaskWait) -> u64 {
        self.looks.get(wait as usize).copied().unwrap_or_default()
    }

    /// How many tasks waited so, added up over the looks.
    #[must_use]
    pub fn tasks(&self, wait: TaskWait) -> f64 {
        self.tasks.get(wait as usize).copied().unwrap_or_default()
    }

    /// The servers whose answers tasks waited for, with the number of the tasks, added up over the
    /// looks; in a stable order.
    #[must_use]
    pub fn peers(&self) -> Vec<(&str, f64)> {
        let mut peers: Vec<_> = self.by_peer.iter().map(|(peer, sum)| (&**peer, *sum)).collect();
        peers.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        peers
    }
}

/// The class of a wait; none where a peer may have to end it.
const fn class(kind: AwaitKind, young: bool) -> Option<TaskWait> {
    Some(match kind {
        AwaitKind::Sleep if young => TaskWait::Pause,
        AwaitKind::Sleep => TaskWait::Sleep,
        AwaitKind::Subprocess => TaskWait::Child,
        AwaitKind::Executor => TaskWait::Job,
        AwaitKind::Lock
        | AwaitKind::Event
        | AwaitKind::Condition
        | AwaitKind::Semaphore
        | AwaitKind::Barrier
        | AwaitKind::Queue
        | AwaitKind::Task
        | AwaitKind::Gather
        | AwaitKind::Wait
        | AwaitKind::TaskGroup => TaskWait::Task,
        AwaitKind::Stream | AwaitKind::Socket | AwaitKind::Future | AwaitKind::Other => {
            return None;
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{TaskWait, TaskWaits};
    use crate::model::{
        AwaitKind, Nanos, NetworkSight, StackId, TaskCount, TaskGroup, TaskLook, TaskState,
    };

    fn look(groups: &[(AwaitKind, u32)], network: NetworkSight) -> TaskLook {
        let group = |&(kind, tasks): &(AwaitKind, u32)| {
            let group = TaskGroup {
                chain: StackId::EMPTY,
                state: TaskState::Waiting,
                awaits: Some(kind),
                parent: None,
            };
            (group, TaskCount { tasks, oldest: Nanos(9_000_000_000), ..TaskCount::default() })
        };
        let groups = groups.iter().map(group).collect();
        TaskLook { time: Nanos(10_000_000_000), groups, network, ..TaskLook::default() }
    }

    #[test]
    fn those_that_were_asked_stand_for_all() {
        let network = NetworkSight {
            tasks: 100,
            asked: 50,
            requests: 10,
            answers: vec![("10.0.0.1:5432".into(), 20)],
        };
        let mut waits = TaskWaits::default();
        waits.add(&look(&[(AwaitKind::Stream, 60), (AwaitKind::Future, 40)], network), true);
        let of = |wait| (waits.looks(wait), waits.tasks(wait));
        assert_eq!(of(TaskWait::Answer), (1, 40.0));
        assert_eq!(of(TaskWait::Request), (1, 20.0));
        assert_eq!(of(TaskWait::Unknown), (1, 40.0));
        assert_eq!(of(TaskWait::Sleep), (0, 0.0));
        assert_eq!(waits.peers(), [("10.0.0.1:5432", 40.0)]);
    }

    #[test]
    fn who_comes_and_goes_pauses_and_who_stays_sleeps() {
        let mut waits = TaskWaits::default();
        let asleep =
            look(&[(AwaitKind::Sleep, 3), (AwaitKind::Gather, 1)], NetworkSight::default());
        waits.add(&asleep, true);
        assert_eq!((waits.looks(TaskWait::Sleep), waits.looks(TaskWait::Pause)), (1, 0));
        waits.add(&asleep, false);
        assert_eq!((waits.looks(TaskWait::Sleep), waits.tasks(TaskWait::Pause)), (1, 3.0));
        assert_eq!(waits.tasks(TaskWait::Task), 2.0);
    }
}
