//! Tables of symbols, and those that a loaded image keeps in memory for the dynamic linker.

use goblin::container::{Container, Ctx, Endian};
use goblin::elf::ProgramHeader;
use goblin::elf::dynamic::{DT_NULL, DT_STRSZ, DT_STRTAB, DT_SYMTAB};
use goblin::elf::program_header::PT_DYNAMIC;
use goblin::elf::sym::{STT_TLS, Symtab, st_type};

use crate::model::Address;

use super::memory::{Memory, ProcessMemory, Span};

/// The only kind of image there is here: 64 bits, little-endian.
pub(super) const CONTEXT: Ctx = Ctx { container: Container::Big, le: Endian::Little };

/// The most bytes that a table of an image in memory may have.
const MOST_BYTES: u64 = 16 << 20;

/// The table of exported symbols of an image in the memory of a process, and its names.
#[derive(Debug)]
pub(super) struct Exports {
    symbols: Vec<u8>,
    names: Vec<u8>,
}

impl Exports {
    /// Finds the tables by the image's dynamic section.
    pub fn find(memory: &ProcessMemory, segments: &[ProgramHeader], bias: u64) -> Option<Self> {
        let dynamic = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC)?;
        let start = Address(bias).offset(dynamic.p_vaddr);
        let entries = read_memory(memory, start, dynamic.p_memsz)?;
        let (entries, _) = entries.as_chunks::<16>();
        let value = |wanted: u64| {
            let words = entries.iter().map(|entry| {
                let (words, _) = entry.as_chunks::<8>();
                words
                    .first()
                    .zip(words.last())
                    .map(|(&tag, &value)| (u64::from_le_bytes(tag), u64::from_le_bytes(value)))
            });
            let mut used = words.flatten().take_while(|&(tag, _)| tag != DT_NULL);
            used.find(|&(tag, _)| tag == wanted).map(|(_, value)| value)
        };
        // glibc replaces the addresses in the section by real ones, musl leaves them.
        let address = |tag| value(tag).map(|at| if at < bias { at.wrapping_add(bias) } else { at });
        let (symbols, names) = (address(DT_SYMTAB)?, address(DT_STRTAB)?);
        // Nothing says how many symbols there are; but all linkers put the names behind them.
        let size = names.checked_sub(symbols)?;
        Some(Self {
            symbols: read_memory(memory, Address(symbols), size)?,
            names: read_memory(memory, Address(names), value(DT_STRSZ)?)?,
        })
    }

    /// The value of a symbol: its address without the image's bias.
    pub fn value(&self, name: &str) -> Option<u64> {
        symbol_value(&self.symbols, &self.names, name)
    }
}

/// The value of the symbol `name` that is defined in a table of symbols.
pub(super) fn symbol_value(symbols: &[u8], names: &[u8], name: &str) -> Option<u64> {
    let count = symbols.len() / goblin::elf64::sym::SIZEOF_SYM;
    let table = Symtab::parse(symbols, 0, count, CONTEXT).ok()?;
    let found = table.iter().find(|symbol| {
        let defined = symbol.st_shndx != 0 && symbol.st_value != 0;
        let has_address = defined && st_type(symbol.st_info) != STT_TLS;
        has_address && is_at(names, symbol.st_name, name)
    });
    found.map(|symbol| symbol.st_value)
}

/// Whether the text at `offset` of a table of names is `name`.
pub(super) fn is_at(names: &[u8], offset: impl TryInto<usize>, name: &str) -> bool {
    let text = offset.try_into().ok().and_then(|offset| names.get(offset..));
    let rest = text.and_then(|text| text.strip_prefix(name.as_bytes()));
    rest.is_some_and(|rest| rest.first() == Some(&0))
}

/// A piece of memory of a bounded length.
pub(super) fn read_memory(memory: &ProcessMemory, address: Address, len: u64) -> Option<Vec<u8>> {
    let len = usize::try_from(len).ok().filter(|&len| len as u64 <= MOST_BYTES)?;
    let mut bytes = vec![0; len];
    memory.read(&[Span { address, len }], &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{is_at, symbol_value};

    #[test]
    fn names_end_where_they_end() {
        let names = b"\0_PyRuntime\0tail";
        assert!(is_at(names, 1u32, "_PyRuntime"));
        assert!(!is_at(names, 1u32, "_PyRun") && !is_at(names, 12u32, "tail"));
        assert!(!is_at(names, 99u32, "x"));
    }

    #[test]
    fn any_bytes_may_stand_for_symbols() {
        for byte in 0..=255 {
            for len in [0, 1, 23, 24, 25, 240] {
                assert_eq!(symbol_value(&vec![byte; len], &[byte; 9], "_PyRuntime"), None);
            }
        }
    }
}
