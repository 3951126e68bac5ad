//! Symbols and sections of the programs and libraries that a process has mapped.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use goblin::elf::header::{self, Header};
use goblin::elf::program_header::{PF_X, PT_LOAD};
use goblin::elf::section_header::{SHT_DYNSYM, SHT_NOBITS, SHT_SYMTAB};
use goblin::elf::{Elf, ProgramHeader, SectionHeader};

use crate::model::Address;

use super::exports::{CONTEXT, Exports, is_at, read_memory, symbol_value};
use super::maps::Mapping;
use super::memory::{Memory, Span};
use super::process::Process;

/// Why an image could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ElfError {
    /// The mapping is memory without a file.
    #[error("the mapping has no file")]
    NoFile,
    /// No file that is certainly the mapped one could be opened.
    #[error("cannot open the mapped file {path}: {source}")]
    Unreachable {
        /// Its path, as the process sees it.
        path: String,
        /// Why the last attempt failed.
        source: io::Error,
    },
    /// The file is not what it should be.
    #[error("not a usable ELF image: {0}")]
    Malformed(String),
}

impl From<goblin::error::Error> for ElfError {
    fn from(error: goblin::error::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

/// A program or library, with the place where it was loaded.
///
/// Only headers are read when it is opened; tables are read, and dropped again, when they are
/// searched. A static Python has 30 MB, of which a look-up needs 200 KB.
#[derive(Debug)]
pub struct ElfImage {
    bias: u64,
    tables: Tables,
}

#[derive(Debug)]
enum Tables {
    /// All that the file has.
    File { file: File, sections: Vec<SectionHeader>, names: Vec<u8> },
    /// Only the exported symbols, from the memory of the process.
    Memory(Exports),
}

/// What the tables of one file may take: names, headers, in bytes.
const MOST_BYTES: u64 = 64 << 20;

/// How many bytes of a symbol table are read at once; a multiple of a symbol's 24.
const SYMBOLS_AT_ONCE: u64 = 24 << 13;

impl ElfImage {
    /// Opens the file behind a mapping of `process`; when it cannot be reached any more, what of
    /// it is in the memory of the process.
    pub(super) fn open(process: &Process, mapping: &Mapping) -> Result<Self, ElfError> {
        let path = mapping.path.as_deref().ok_or(ElfError::NoFile)?;
        match open_mapped(process, mapping, path) {
            Ok(file) => Self::from_file(file, mapping),
            Err(source) => Self::from_memory(process, mapping)
                .ok_or_else(|| ElfError::Unreachable { path: path.display().to_string(), source }),
        }
    }

    fn from_file(file: File, mapping: &Mapping) -> Result<Self, ElfError> {
        let header = Elf::parse_header(&read(&file, 0, header::header64::SIZEOF_EHDR as u64)?)?;
        check(&header)?;
        let size = u64::from(header.e_phnum) * u64::from(header.e_phentsize);
        let bytes = read(&file, header.e_phoff, size)?;
        let segments = ProgramHeader::parse(&bytes, 0, header.e_phnum.into(), CONTEXT)?;
        let bias = bias(&header, &segments, mapping)
            .ok_or_else(|| ElfError::Malformed("no segment of it is the mapped one".to_owned()))?;
        let sections = sections(&file, &header)?;
        let names = sections.get(usize::from(header.e_shstrndx));
        let names = names.and_then(|names| content(&file, names)).unwrap_or_default();
        Ok(Self { bias, tables: Tables::File { file, sections, names } })
    }

    /// Takes the mapping for the first of its file, where the headers are.
    fn from_memory(process: &Process, mapping: &Mapping) -> Option<Self> {
        let memory = process.memory();
        let start = Address(mapping.start);
        let header = read_memory(&memory, start, header::header64::SIZEOF_EHDR as u64)?;
        let header = Elf::parse_header(&header).ok().filter(|header| check(header).is_ok())?;
        let size = u64::from(header.e_phnum) * u64::from(header.e_phentsize);
        let bytes = read_memory(&memory, start.offset(header.e_phoff), size)?;
        let count = usize::from(header.e_phnum);
        let segments = ProgramHeader::parse(&bytes, 0, count, CONTEXT).ok()?;
        let bias = bias(&header, &segments, mapping)?;
        let exports = Exports::find(&memory, &segments, bias)?;
        Some(Self { bias, tables: Tables::Memory(exports) })
    }

    /// The address of a symbol, looked for among the exported ones and then among all.
    #[must_use]
    pub fn symbol(&self, name: &str) -> Option<Address> {
        self.exported(name).or_else(|| self.find(SHT_SYMTAB, name))
    }

    /// The address of an exported symbol: the quick half of [`Self::symbol`].
    #[must_use]
    pub fn exported(&self, name: &str) -> Option<Address> {
        match &self.tables {
            Tables::File { .. } => self.find(SHT_DYNSYM, name),
            Tables::Memory(exports) => {
                exports.value(name).map(|value| Address(self.bias).offset(value))
            }
        }
    }

    /// The memory of a section; `None` too when the file could not be reached.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<Span> {
        let Tables::File { sections, names, .. } = &self.tables else { return None };
        let mut loaded = sections.iter().filter(|section| section.sh_addr != 0);
        let section = loaded.find(|section| is_at(names, section.sh_name, name))?;
        let address = Address(self.bias).offset(section.sh_addr);
        Some(Span { address, len: usize::try_from(section.sh_size).ok()? })
    }

    /// A symbol of the first table of a type.
    fn find(&self, table: u32, name: &str) -> Option<Address> {
        let Tables::File { file, sections, .. } = &self.tables else { return None };
        let table = sections.iter().find(|section| section.sh_type == table)?;
        let names = content(file, sections.get(usize::try_from(table.sh_link).ok()?)?)?;
        let end = table.sh_offset.checked_add(table.sh_size.min(LARGEST_TABLE))?;
        let mut offset = table.sh_offset;
        while offset < end {
            let symbols = read(file, offset, SYMBOLS_AT_ONCE.min(end - offset)).ok()?;
            if let Some(value) = symbol_value(&symbols, &names, name) {
                return Some(Address(self.bias).offset(value));
            }
            offset += SYMBOLS_AT_ONCE;
        }
        None
    }
}

/// No program has a larger symbol table; a file may claim any size.
const LARGEST_TABLE: u64 = 1 << 28;

/// Opens the mapped file: by the mapping itself, which serves deleted files too but takes
/// `CAP_CHECKPOINT_RESTORE`; by its path in the root of the process; as the program it runs.
fn open_mapped(process: &Process, mapping: &Mapping, path: &Path) -> io::Result<File> {
    let by_mapping = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
    if let Ok(file) = process.regular_file(by_mapping) {
        return Ok(file);
    }
    if !mapping.deleted {
        let mut in_root = OsString::from("root");
        in_root.push(path);
        let file = process.regular_file(in_root)?;
        if is_mapped(process, mapping, &file) {
            return Ok(file);
        }
    }
    if process.executable() == path {
        return process.regular_file("exe");
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "it was deleted or replaced since it was loaded"))
}

/// Whether a file found by its path begins as the mapping does. A replaced file has its tables
/// elsewhere, so that the header tells.
fn is_mapped(process: &Process, mapping: &Mapping, file: &File) -> bool {
    let mut mapped = [0; header::header64::SIZEOF_EHDR];
    let mut found = mapped;
    let span = Span { address: Address(mapping.start), len: mapped.len() };
    if mapping.offset != 0 || process.memory().read(&[span], &mut mapped).is_err() {
        return true;
    }
    file.read_exact_at(&mut found, 0).is_ok() && mapped == found
}

fn check(header: &Header) -> Result<(), ElfError> {
    let machine =
        if cfg!(target_arch = "aarch64") { header::EM_AARCH64 } else { header::EM_X86_64 };
    let kind = (header.e_ident[header::EI_CLASS], header.e_ident[header::EI_DATA]);
    if kind != (header::ELFCLASS64, header::ELFDATA2LSB) || header.e_machine != machine {
        let name = header::machine_to_str(header.e_machine);
        return Err(ElfError::Malformed(format!("it is for another kind of machine ({name})")));
    }
    Ok(())
}

/// What is to be added to the file's addresses to get those in the process.
///
/// The segment of a mapping is the one that begins where the mapping does in the file, in whole
/// pages, or else one that covers that place: the loader may have split a segment (RELRO).
fn bias(header: &Header, segments: &[ProgramHeader], mapping: &Mapping) -> Option<u64> {
    if header.e_type == header::ET_EXEC {
        return Some(0);
    }
    let page = |address: u64| address & !(rustix::param::page_size() as u64 - 1);
    let covers = |segment: &&ProgramHeader| {
        let end = segment.p_offset.saturating_add(segment.p_filesz);
        page(segment.p_offset) <= mapping.offset && mapping.offset < end
    };
    let segment = segments.iter().filter(|segment| segment.p_type == PT_LOAD).filter(covers);
    let segment = segment.max_by_key(|segment| {
        let same_start = page(segment.p_offset) == mapping.offset;
        let same_use = (segment.p_flags & PF_X != 0) == mapping.executable;
        (same_start, same_use, segment.p_offset)
    })?;
    let into = mapping.offset - page(segment.p_offset);
    Some(mapping.start.wrapping_sub(page(segment.p_vaddr)).wrapping_sub(into))
}

/// The section headers; none when the file was stripped of them.
fn sections(file: &File, header: &Header) -> Result<Vec<SectionHeader>, ElfError> {
    if header.e_shoff == 0 || header.e_shnum == 0 {
        return Ok(Vec::new());
    }
    let size = u64::from(header.e_shnum) * u64::from(header.e_shentsize);
    let bytes = read(file, header.e_shoff, size)?;
    Ok(SectionHeader::parse_from(&bytes, 0, header.e_shnum.into(), CONTEXT)?)
}

fn content(file: &File, section: &SectionHeader) -> Option<Vec<u8>> {
    if section.sh_type == SHT_NOBITS {
        return None;
    }
    read(file, section.sh_offset, section.sh_size).ok()
}

/// A piece of the file; refused when it is beyond the end, before memory is taken for it.
fn read(file: &File, offset: u64, len: u64) -> Result<Vec<u8>, ElfError> {
    let size = file.metadata().map_or(0, |data| data.len());
    let inside = offset.checked_add(len).is_some_and(|end| end <= size);
    if !inside || len > MOST_BYTES {
        return Err(ElfError::Malformed("a table of it is cut off or too large".to_owned()));
    }
    let mut bytes = vec![0; len as usize];
    let failed = |error: io::Error| ElfError::Malformed(error.to_string());
    file.read_exact_at(&mut bytes, offset).map_err(failed)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::os::unix::fs::FileExt;
    use std::process::Command;

    use super::{Elf, ElfError, ElfImage, is_mapped};
    use crate::model::Address;
    use crate::target::testing::{Program, as_other_user, eventually};
    use crate::target::{Mapping, Memory, Process, Span};

    /// The mappings of the file that has the interpreter's symbols.
    fn interpreter(process: &Process) -> Vec<Mapping> {
        let maps = process.maps().unwrap();
        let is_library = |mapping: &&Mapping| {
            let path = mapping.path.as_ref().map(|path| path.display().to_string());
            path.is_some_and(|path| path.contains("/libpython"))
        };
        let library: Vec<_> = maps.iter().filter(is_library).cloned().collect();
        if !library.is_empty() {
            return library;
        }
        let program = process.executable();
        maps.into_iter().filter(|mapping| mapping.path.as_ref() == Some(&program)).collect()
    }

    fn text_at(process: &Process, address: Address) -> String {
        let mut text = [0; 4];
        process.memory().read(&[Span { address, len: 4 }], &mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    }

    #[test]
    fn every_mapping_of_a_file_gives_the_same_addresses() {
        let program = Program::python("print('ready'); input()");
        let process = program.process();
        let maps = interpreter(&process);
        let images: Vec<_> = maps.iter().map(|mapping| process.elf(mapping).unwrap()).collect();
        let runtime = images[0].exported("_PyRuntime").unwrap();
        let version = images[0].symbol("Py_Version");
        assert!(maps.len() > 2);
        for image in &images {
            assert_eq!(image.symbol("_PyRuntime"), Some(runtime));
            assert_eq!(image.symbol("Py_Version"), version);
            assert_eq!(image.symbol("_PyRuntim"), None);
            let section = image.section(".bss").unwrap();
            assert!(section.len > 0);
        }
        let holder =
            process.maps().unwrap().into_iter().find(|m| (m.start..m.end).contains(&runtime.0));
        assert!(holder.is_some_and(|mapping| mapping.writable));
        // The number of the version, as the program itself sees it: its first byte is the last.
        if let Some(version) = version {
            assert!(text_at(&process, version).ends_with('\u{3}'));
        }
    }

    /// Looks at a program before and after its file is replaced.
    fn look_at_a_replaced_program() {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("sleeper");
        let places = ["/usr/bin/sleep", "/bin/sleep"];
        let sleep = places.into_iter().find(|path| fs::exists(path).unwrap());
        fs::copy(sleep.unwrap(), &copy).unwrap();
        let mut child = Command::new(&copy).arg("60").spawn().unwrap();
        let process = Process::open(child.id() as i32).unwrap();
        let mapping = |process: &Process| {
            // The child is told to be started before its program is mapped.
            let find = || {
                let maps = process.maps().unwrap();
                maps.into_iter().find(|mapping| mapping.path.as_ref() == Some(&copy)).ok_or(())
            };
            eventually(find).unwrap()
        };
        let before = process.elf(&mapping(&process)).unwrap().section(".text");
        fs::remove_file(&copy).unwrap();
        fs::write(&copy, "not the program").unwrap();
        let mapping = mapping(&process);
        let after = process.elf(&mapping);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(mapping.deleted);
        assert!(before.is_some() && after.unwrap().section(".text") == before);
    }

    #[test]
    fn a_deleted_program_is_still_read_and_a_replaced_one_never() {
        look_at_a_replaced_program();
        // Without root's capabilities the mapping itself cannot be opened: by path, then by exe.
        as_other_user(look_at_a_replaced_program);
    }

    #[test]
    fn a_file_that_begins_otherwise_is_not_the_mapped_one() {
        let program = Program::python("print('ready'); input()");
        let process = program.process();
        let first = &interpreter(&process)[0];
        let path = first.path.as_deref().unwrap();
        let copy = tempfile::NamedTempFile::new().unwrap();
        fs::copy(path, copy.path()).unwrap();
        let file = File::options().read(true).write(true).open(copy.path()).unwrap();
        assert!(is_mapped(&process, first, &file));
        file.write_at(b"\x01", 0x28).unwrap();
        assert!(!is_mapped(&process, first, &file));
    }

    #[test]
    fn no_file_makes_it_panic_or_take_much_memory() {
        let program = Program::python("print('ready'); input()");
        let process = program.process();
        let first = &interpreter(&process)[0];
        let whole = fs::read(first.path.as_deref().unwrap()).unwrap();
        let shape = Elf::parse_header(&whole).unwrap();
        let table = shape.e_shoff as usize;
        let mut random = fastrand::Rng::with_seed(7);
        let mut usable = 0;
        for _ in 0..300 {
            let file = tempfile::tempfile().unwrap();
            file.write_at(&whole[..4096], 0).unwrap();
            file.write_at(&whole[table..], table as u64).unwrap();
            for (start, len) in [(16, 48), (64, 500), (table, whole.len() - table)] {
                let at = (start + random.usize(..len)) as u64;
                file.write_at(&[random.u8(..)], at).unwrap();
            }
            if let Ok(image) = ElfImage::from_file(file, first) {
                usable += 1;
                let _ = (image.symbol("_PyRuntime"), image.section(".bss"));
            }
        }
        assert!(usable > 0 && usable < 300, "{usable}");
    }

    #[test]
    fn memory_without_a_file_and_files_that_are_no_program_are_refused() {
        let program = Program::python(
            "import mmap; f = open('/proc/self/maps').read()\n\
             import tempfile; t = tempfile.NamedTemporaryFile(suffix='.so'); t.write(b'\\x7fELF' + b'\\xff' * 9000); t.flush()\n\
             m = mmap.mmap(t.fileno(), 0); print('ready'); input()",
        );
        let process = program.process();
        let maps = process.maps().unwrap();
        let refused = |pick: &dyn Fn(&&Mapping) -> bool| {
            process.elf(maps.iter().find(pick).unwrap()).unwrap_err()
        };
        assert!(matches!(refused(&|mapping| mapping.path.is_none()), ElfError::NoFile));
        let fake = |mapping: &&Mapping| {
            mapping.path.as_ref().is_some_and(|path| path.starts_with(std::env::temp_dir()))
        };
        assert!(matches!(refused(&fake), ElfError::Malformed(_)));
    }

    #[test]
    fn exported_symbols_are_in_memory_too() {
        let program = Program::python("print('ready'); input()");
        let process = program.process();
        let first = &interpreter(&process)[0];
        let file = process.elf(first).unwrap();
        let memory = ElfImage::from_memory(&process, first).unwrap();
        for name in ["_PyRuntime", "Py_Initialize", "PyObject_Call"] {
            assert!(memory.symbol(name).is_some(), "{name}");
            assert_eq!(memory.symbol(name), file.symbol(name), "{name}");
        }
        assert_eq!(memory.symbol("PyObject_Cal"), None);
        assert_eq!(memory.section(".bss"), None);
    }
}
