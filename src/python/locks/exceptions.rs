//! The exception table of a code object (3.11+): which part of the value stack is certainly in use.

/// Instructions, and what the interpreter does when one of them raises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handler {
    /// The first instruction's offset in bytes.
    start: u64,
    /// The offset after the last one.
    end: u64,
    /// Where the handler begins, in bytes.
    pub target: u64,
    /// How many values stay on the stack.
    pub depth: usize,
    /// Whether the handler is that of a `with` (or of a cleanup), which wants to know the
    /// instruction.
    pub wants_instruction: bool,
}

impl Handler {
    /// Whether it covers the instruction at `offset`.
    pub(super) const fn covers(&self, offset: u64) -> bool {
        self.start <= offset && offset < self.end
    }

    /// Whether it begins at or before `offset`.
    pub(super) const fn begins_by(&self, offset: u64) -> bool {
        self.start <= offset
    }
}

/// The entries of a table (`Objects/exception_handling_notes.txt`), up to where it is damaged.
pub(super) fn handlers(table: &[u8]) -> Vec<Handler> {
    /// Bytes of an instruction unit.
    const UNIT: u64 = 2;
    let mut bytes = table.iter().copied();
    let mut found = Vec::new();
    let mut entry = || {
        let (start, length) = (varint(&mut bytes)?, varint(&mut bytes)?);
        let (target, depth) = (varint(&mut bytes)?, varint(&mut bytes)?);
        Some(Handler {
            start: start * UNIT,
            end: (start + length) * UNIT,
            target: target * UNIT,
            depth: usize::try_from(depth >> 1).ok()?,
            wants_instruction: depth & 1 == 1,
        })
    };
    while let Some(handler) = entry() {
        found.push(handler);
    }
    found
}

/// Six bits a byte, most significant first; bit 6 says that more follow.
fn varint(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut value = 0;
    // 32 bits are more than any code is long.
    for _ in 0..6 {
        let byte = bytes.next()?;
        value = value << 6 | u64::from(byte & 63);
        if byte & 64 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::handlers;

    #[test]
    fn entries_are_read_up_to_the_damage() {
        // 5 for 3, to 20, depth 1 with the instruction; then a start of 64 and nothing more.
        let table = [0x80 | 5, 3, 20, 3, 0xc1, 0];
        let found = handlers(&table);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].target, found[0].depth), (40, 1));
        assert!(found[0].wants_instruction && found[0].covers(10) && !found[0].covers(16));
        assert!(handlers(&[0xff; 40]).is_empty());
    }
}
