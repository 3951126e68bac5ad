//! What a task waits for: the lock, the queue, the job behind the future that its chain ends in.

use super::chain::Chain;
use super::codes::Role;
use super::kinds::{Kind, TypeInfo};
use super::moment::{Link, Moment};
use crate::model::{Address, AwaitKind, Awaited, Origin};
use crate::target::Memory;

/// Classes whose methods wait, by asyncio's module.
const CLASSES: [(&str, &str, AwaitKind); 12] = [
    ("locks", "Lock", AwaitKind::Lock),
    ("locks", "Event", AwaitKind::Event),
    ("locks", "Condition", AwaitKind::Condition),
    ("locks", "Semaphore", AwaitKind::Semaphore),
    ("locks", "Barrier", AwaitKind::Barrier),
    ("queues", "Queue", AwaitKind::Queue),
    ("streams", "StreamReader", AwaitKind::Stream),
    ("streams", "StreamWriter", AwaitKind::Stream),
    ("streams", "FlowControlMixin", AwaitKind::Stream),
    ("subprocess", "Process", AwaitKind::Subprocess),
    ("base_subprocess", "BaseSubprocessTransport", AwaitKind::Subprocess),
    ("taskgroups", "TaskGroup", AwaitKind::TaskGroup),
];

impl<M: Memory> Moment<'_, M> {
    /// What a chain waits for that ends in `future`, if not in something else.
    pub(super) fn awaited(&mut self, chain: &Chain, future: Address) -> Option<Awaited> {
        let caller = chain
            .links
            .iter()
            .rposition(|link| self.code(link.at.code).is_ok_and(|code| code.role == Role::Foreign));
        let own = caller.map_or(0, |caller| caller + 1);
        let found = self.by_function(chain.links.get(own..)?);
        let leaf = Some(chain.leaf.unwrap_or(future)).filter(|leaf| !leaf.is_null());
        match found {
            None => {
                let awaited = self.by_object(leaf?)?;
                Some(Awaited { via: self.this(chain.links.last()), ..awaited })
            }
            // The function knows nothing of the job, its future does.
            Some(found) if found.kind == AwaitKind::Executor => {
                let job = leaf.and_then(|leaf| self.by_object(leaf));
                job.filter(|job| job.kind == AwaitKind::Executor).or(Some(found))
            }
            Some(found) if found.kind == AwaitKind::Event => {
                let caller = caller.and_then(|caller| chain.links.get(caller));
                let caller = caller.filter(|link| {
                    let code = self.code(link.at.code);
                    code.is_ok_and(|code| code.origin() == Origin::Package)
                });
                Some(Awaited { via: self.this(caller), ..found })
            }
            found => found,
        }
    }

    /// The object whose method a frame is; null where there is none.
    fn this(&mut self, link: Option<&Link>) -> Address {
        link.and_then(|link| self.local(link, "self")).unwrap_or(Address::NULL)
    }

    /// By asyncio's own functions at the inner end of the chain, of which the outermost is the one
    /// that the program has called.
    fn by_function(&mut self, own: &[Link]) -> Option<Awaited> {
        let mut found: Option<Awaited> = None;
        for link in own {
            let inner = self.by_link(link);
            // Entering a condition is waiting for its lock.
            let keep = found.as_ref().is_some_and(|known| {
                let is_lock = inner.as_ref().is_some_and(|inner| inner.kind == AwaitKind::Lock);
                known.kind != AwaitKind::Condition || !is_lock
            });
            if !keep && inner.is_some() {
                found = inner;
            }
        }
        found
    }

    fn by_link(&mut self, link: &Link) -> Option<Awaited> {
        match self.code(link.at.code).ok()?.role {
            Role::Sleep => {
                let timer = self.local(link, "h");
                let future = self.local(link, "future").unwrap_or(Address::NULL);
                let until = timer.and_then(|timer| self.timer(timer));
                let awaited = self.named(AwaitKind::Sleep, future);
                return Some(Awaited { until, ..awaited });
            }
            Role::WaitFor => {
                let task = self.local(link, "fut")?;
                let is_future = self.kind(task).ok()?.is_future();
                return is_future.then(|| self.by_object(task))?;
            }
            Role::Wait => return Some(self.named(AwaitKind::Wait, Address::NULL)),
            Role::Thread => return Some(self.named(AwaitKind::Executor, Address::NULL)),
            Role::Socket => return Some(self.named(AwaitKind::Socket, Address::NULL)),
            Role::Method => {}
            Role::Foreign => return None,
        }
        let this = self.local(link, "self")?;
        let info = self.type_info(this).ok()?;
        let module = self.code(link.at.code).ok()?.asyncio.as_deref()?;
        let kind = class(module, &info)?;
        Some(self.named(kind, this))
    }

    /// By the object that is awaited itself.
    fn by_object(&mut self, object: Address) -> Option<Awaited> {
        let kind = match self.kind(object).ok()? {
            Kind::Task => AwaitKind::Task,
            Kind::Gathering => AwaitKind::Gather,
            Kind::Future => return Some(self.by_callbacks(object)),
            _ => AwaitKind::Other,
        };
        Some(self.named(kind, object))
    }

    /// By what else is told of a future: a shield looks after another task, a job in an executor is
    /// to be cancelled with it.
    fn by_callbacks(&mut self, future: Address) -> Awaited {
        for callback in self.callbacks(future).unwrap_or_default() {
            if self.kind(callback) != Ok(Kind::Function) {
                continue;
            }
            let code = self.reader.pointer(callback.offset(self.layout.at.function.code));
            let Ok(code) = code.and_then(|code| self.code(code)) else { continue };
            let kind = match (code.asyncio.as_deref(), &*code.name) {
                (Some("tasks"), "_outer_done_callback") => AwaitKind::Task,
                (Some("futures"), "_call_check_cancel") => AwaitKind::Executor,
                _ => continue,
            };
            let wanted = |moment: &mut Self, object: Address| match moment.type_info(object) {
                Ok(info) if kind == AwaitKind::Task => info.kind.is_future(),
                Ok(info) => info.kind == Kind::Other && info.name() == "Future",
                Err(_) => false,
            };
            let parts = self.closure(callback).unwrap_or_default();
            let part = parts.into_iter().find(|part| *part != future && wanted(self, *part));
            if let Some(part) = part {
                return self.named(kind, part);
            }
        }
        self.named(AwaitKind::Future, future)
    }

    fn named(&mut self, kind: AwaitKind, object: Address) -> Awaited {
        let info = self.type_info(object);
        let type_name = info.as_ref().map_or("", |info| info.name()).into();
        let via = Address::NULL;
        Awaited { kind, object, type_name, until: None, via, job: None, descriptor: None }
    }
}

/// The kind of thing that an object is whose method in one of asyncio's modules waits.
fn class(module: &str, info: &TypeInfo) -> Option<AwaitKind> {
    let classes = CLASSES.iter().filter(|(of, ..)| *of == module);
    info.names.iter().find_map(|name| {
        classes.clone().find(|(_, class, _)| **name == **class).map(|(.., kind)| *kind)
    })
}
