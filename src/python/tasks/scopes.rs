//! The `async with` and `with` blocks that a task is in: time limits, and locks that it holds.

use super::chain::Chain;
use super::codes::Role;
use super::kinds::Kind;
use super::moment::{Link, Moment};
use super::suspended::Suspended;
use crate::model::{Address, Nanos, UNTOLD_DEADLINE};
use crate::target::Memory;

/// Blocks in a generator that stands for a block, as `contextlib.contextmanager` makes it, within
/// another such generator, and so on.
const DEEPEST: u32 = 4;

/// What a task's blocks say of it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scopes {
    /// When the nearest time limit runs out.
    pub deadline: Option<Nanos>,
    /// Locks and semaphores that are held.
    pub holds: Vec<Address>,
}

impl<M: Memory> Moment<'_, M> {
    /// The scopes of the frames of a chain.
    pub(super) fn scopes(&mut self, chain: &Chain) -> Scopes {
        let mut scopes = Scopes::default();
        for (index, link) in chain.links.iter().enumerate() {
            let mut managers = self.managers(link);
            // While a block is being entered its end is on the stack already.
            if !managers.is_empty() && self.is_named(chain.links.get(index + 1), "__aenter__") {
                managers.pop();
            }
            for manager in managers {
                self.add_scope(manager, chain, &mut scopes, DEEPEST);
            }
            // `wait_for` up to 3.11, and `wait`.
            let role = self.code(link.at.code).map(|code| code.role);
            if matches!(role, Ok(Role::WaitFor | Role::Wait))
                && let Some(handle) = self.local(link, "timeout_handle")
                && self.type_info(handle).is_ok_and(|info| info.name().ends_with("TimerHandle"))
            {
                scopes.limit(self.timer(handle).unwrap_or(UNTOLD_DEADLINE));
            }
        }
        scopes
    }

    fn add_scope(&mut self, manager: Address, chain: &Chain, scopes: &mut Scopes, depth: u32) {
        let Ok(info) = self.type_info(manager) else { return };
        for name in &info.names {
            match &**name {
                "Timeout" | "CancelScope" => {
                    let limit = ["_when", "_deadline"]
                        .iter()
                        .find_map(|name| self.reader.member(self.layout, manager, name).ok()?);
                    if let Some(limit) = limit.and_then(|limit| self.time(limit)) {
                        scopes.limit(limit);
                    }
                }
                "_GeneratorContextManager" | "_AsyncGeneratorContextManager" => {
                    for inner in self.inner_managers(manager) {
                        if let Some(depth) = depth.checked_sub(1) {
                            self.add_scope(inner, chain, scopes, depth);
                        }
                    }
                }
                // aiohttp's: its timer is the loop's and knows nothing of it.
                "TimerContext" => scopes.limit(UNTOLD_DEADLINE),
                "Lock" | "Semaphore" => scopes.holds.push(manager),
                // One that waits has given its lock back.
                "Condition" if !self.waits_in(chain, manager) => {
                    scopes.holds.extend(self.reader.attribute(manager, "_lock").ok().flatten());
                }
                _ => continue,
            }
            return;
        }
    }

    /// The blocks that the generator is in which a manager of `contextlib` is made from.
    fn inner_managers(&mut self, manager: Address) -> Vec<Address> {
        let generator = self.reader.attribute(manager, "gen").ok().flatten();
        let suspended = generator.filter(|it| self.kind(*it) == Ok(Kind::Generator));
        let Some(generator) = suspended else { return Vec::new() };
        let Ok(Some(at)) = Suspended::read(self.reader, self.layout, generator) else {
            return Vec::new();
        };
        let Ok(frame) = self.frame(at.code, at.instruction) else { return Vec::new() };
        self.managers(&Link { at, frame })
    }

    /// Whether a chain is in the `wait` of this condition.
    fn waits_in(&mut self, chain: &Chain, condition: Address) -> bool {
        chain.links.iter().any(|link| {
            self.is_named(Some(link), "wait") && self.local(link, "self") == Some(condition)
        })
    }

    /// The objects whose `with` blocks a frame is in, outermost first.
    fn managers(&mut self, link: &Link) -> Vec<Address> {
        let Ok(stack) = link.at.stack(self.reader, self.layout) else { return Vec::new() };
        let mut found = Vec::new();
        for (index, object) in stack.iter().enumerate() {
            if object.is_null() {
                continue;
            }
            let head = self.head();
            match self.kind(*object) {
                // Up to 3.13: the bound method.
                Ok(Kind::Method) => {
                    let at = |offset| self.reader.pointer(object.offset(offset));
                    if let (Ok(function), Ok(this)) = (at(head), at(head + 8))
                        && self.is_exit(function)
                    {
                        found.push(this);
                    }
                }
                // Since 3.14: the function, and then its object.
                Ok(Kind::Function) if self.is_exit(*object) => {
                    found.extend(stack.get(index + 1).filter(|this| !this.is_null()));
                }
                _ => {}
            }
        }
        found
    }

    fn is_exit(&mut self, function: Address) -> bool {
        let code = self.reader.pointer(function.offset(self.layout.at.function.code));
        code.and_then(|code| self.code(code))
            .is_ok_and(|code| matches!(&*code.name, "__aexit__" | "__exit__"))
    }

    fn is_named(&mut self, link: Option<&Link>, name: &str) -> bool {
        link.is_some_and(|link| self.code(link.at.code).is_ok_and(|code| &*code.name == name))
    }
}

impl Scopes {
    fn limit(&mut self, limit: Nanos) {
        self.deadline = Some(self.deadline.map_or(limit, |known| known.min(limit)));
    }
}
