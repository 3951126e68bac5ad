//! Snapshots of tasks for the tests.

use crate::model::{
    Address, AwaitKind, Awaited, Awaiter, Frame, Function, FunctionId, Relation, StackId, Tables,
    Task, TaskState, Tasks,
};

/// A snapshot in the making.
#[derive(Default)]
pub(super) struct Fixture {
    pub tasks: Tasks,
    pub tables: Tables,
}

impl Fixture {
    /// Adds a task that waits, and whose name is its coroutine's too.
    pub fn waiting(&mut self, name: &str, kind: AwaitKind, object: Address) -> u32 {
        let function = self.function(name);
        let frame = self.tables.frames.intern(Frame { function, line: 1 });
        let chain = self.tables.push_frame(StackId::EMPTY, frame);
        let index = self.tasks.tasks.len() as u32;
        self.tasks.tasks.push(Task {
            address: Address(u64::from(index) + 1),
            name: name.into(),
            state: TaskState::Waiting,
            event_loop: None,
            chain,
            awaits: Some(Awaited {
                kind,
                object,
                type_name: "".into(),
                until: None,
                via: Address::NULL,
                job: None,
                descriptor: None,
            }),
            awaited_by: Vec::new(),
            cancel_requests: 0,
            deadline: None,
            holds: Vec::new(),
            plight: None,
        });
        index
    }

    pub fn task(&mut self, index: u32) -> &mut Task {
        &mut self.tasks.tasks[index as usize]
    }

    /// Lets one task wait for another.
    pub fn awaits(&mut self, parent: u32, child: u32, relation: Relation) {
        self.task(child).awaited_by.push(Awaiter { task: parent, relation });
    }

    pub fn function(&mut self, name: &str) -> FunctionId {
        self.tables.functions.intern(Function {
            name: name.into(),
            qualified: true,
            module: "app".into(),
            file: "app.py".into(),
            first_line: 1,
        })
    }
}
