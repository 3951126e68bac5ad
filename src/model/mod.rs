//! The words that all other layers speak. Invariant: no IO, no clock, no formatting.

mod awaited;
mod cause;
mod details;
mod end;
mod evidence;
mod ids;
mod lock;
pub mod note;
mod origin;
mod surroundings;
mod survey;
mod tables;
mod task_look;
mod tasks;

pub use self::awaited::{AwaitKind, Awaited, Job};
pub use self::cause::{Cause, Tag};
pub use self::details::{
    AwaitedChild, AwaitedDescriptor, EndRole, ProcessName, TimeLimit, WaitDetails,
};
pub use self::end::ProcessEnd;
pub use self::evidence::{
    Activity, Attachment, CpuDelta, Failure, Kept, LoopEvidence, Operation, Sample, Step, StepNews,
    StepTask, ThreadSample, Wait, WaitKind,
};
pub use self::ids::{
    Address, DescriptorId, FrameId, FunctionId, LabelId, Nanos, Pid, StackId, StateId, ThreadId,
    Tid,
};
pub use self::lock::{Deadlock, Lock, LockKind, LockOwner, LockWait};
pub use self::origin::Origin;
pub use self::surroundings::{
    ChildProcess, Extension, PeerProcess, SourceLine, Surroundings, WorkerSight,
};
pub use self::survey::{Executor, ExecutorSight, Holder, LockSight, Spells, Survey, WaitNotes};
pub use self::tables::{
    Descriptor, DescriptorKind, Frame, Function, SocketRole, StackNode, State, Table, Tables,
    ThreadInfo,
};
pub use self::task_look::{
    ConnectionSight, LoopSight, NetworkSight, QueueSight, SightCount, StuckTask, TaskCount,
    TaskDeadlock, TaskGroup, TaskLook, TaskSight, TaskTrouble, Turnover,
};
pub use self::tasks::{
    Awaiter, EventLoopInfo, LoopKind, Plight, QueueInfo, Relation, Task, TaskCircle, TaskState,
    Tasks, UNTOLD_DEADLINE,
};
