//! Python objects, read from outside: every length is bounded, every type is checked by its user.

use super::layout::{InstanceDict, IntFormat, Layout};
use crate::model::Address;
use crate::target::{Memory, ReadError, Span};

/// Why an object could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Its memory could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not what it should be: overwritten meanwhile, or never was.
    #[error("not a valid {0}")]
    Not(&'static str),
}

/// The longest text that is taken from a target, in characters.
const LONGEST_TEXT: u64 = 4096;
/// The longest bytes object that is taken (a line table of a large generated function).
const LONGEST_BYTES: u64 = 1 << 20;
/// The most items of a tuple or dict that are taken.
const MOST_ITEMS: u64 = 1 << 18;
/// The most attributes of an instance that are looked through: a thread and a loop have some forty.
const MOST_ATTRIBUTES: usize = 1 << 10;
/// `Py_TPFLAGS_INLINE_VALUES` (3.13+).
const INLINE_VALUES: u64 = 1 << 2;
/// `Py_TPFLAGS_MANAGED_DICT` (3.11+).
const MANAGED_DICT: u64 = 1 << 4;

/// Reads Python objects of one layout.
#[derive(Debug)]
pub struct Reader<'a, M> {
    /// The target's memory.
    pub memory: &'a M,
    /// Its layout.
    pub layout: &'a Layout,
}

// Derived, they would ask the memory to be `Copy` too.
impl<M> Copy for Reader<'_, M> {}

impl<M> Clone for Reader<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M: Memory> Reader<'_, M> {
    /// `N` bytes.
    pub(super) fn array<const N: usize>(&self, address: Address) -> Result<[u8; N], Invalid> {
        let mut bytes = [0; N];
        self.memory.read(&[Span { address, len: N }], &mut bytes)?;
        Ok(bytes)
    }

    /// `len` bytes; the caller bounds `len`.
    pub(super) fn slice(&self, address: Address, len: u64) -> Result<Vec<u8>, Invalid> {
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| Invalid::Not("length"))?];
        if !bytes.is_empty() {
            self.memory.read(&[Span { address, len: bytes.len() }], &mut bytes)?;
        }
        Ok(bytes)
    }

    /// A word.
    pub(super) fn word(&self, address: Address) -> Result<u64, Invalid> {
        self.array(address).map(u64::from_ne_bytes)
    }

    /// A pointer.
    pub(super) fn pointer(&self, address: Address) -> Result<Address, Invalid> {
        self.word(address).map(Address)
    }

    /// A C `int`.
    pub(super) fn int32(&self, address: Address) -> Result<i32, Invalid> {
        self.array(address).map(i32::from_ne_bytes)
    }

    /// Words that follow each other.
    pub(super) fn words(&self, address: Address, count: u64) -> Result<Vec<u64>, Invalid> {
        let bytes = self.slice(address, count.min(MOST_ITEMS) * 8)?;
        Ok(bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect())
    }

    /// The type of an object.
    pub(super) fn type_of(&self, object: Address) -> Result<Address, Invalid> {
        self.pointer(object.offset(self.layout.at.object.r#type))
    }

    /// `tp_name` of a type: a plain or a dotted name.
    pub(super) fn type_name(&self, r#type: Address) -> Result<String, Invalid> {
        let name = self.pointer(r#type.offset(self.layout.at.r#type.name))?;
        // Short reads first: a name may end just before an unmapped page.
        for len in [128, 48, 16] {
            let Ok(bytes) = self.slice(name, len) else { continue };
            if let Some((text, _)) =
                bytes.iter().position(|byte| *byte == 0).map(|end| bytes.split_at(end))
            {
                return Ok(String::from_utf8_lossy(text).into_owned());
            }
        }
        Err(Invalid::Not("type name"))
    }

    /// The name of an object's type.
    pub(super) fn type_name_of(&self, object: Address) -> Result<String, Invalid> {
        self.type_name(self.type_of(object)?)
    }

    /// The text of a `str`.
    ///
    /// # Errors
    /// When it is not a compact string of a plausible length; longer texts are cut.
    pub(super) fn text(&self, object: Address) -> Result<String, Invalid> {
        let at = &self.layout.at.unicode;
        let length = self.word(object.offset(at.length))?;
        let state = self.word(object.offset(at.state))?;
        let width = (state >> at.kind_bit) & 7;
        if state >> at.compact_bit & 1 == 0 || !matches!(width, 1 | 2 | 4) || length > 1 << 40 {
            return Err(Invalid::Not("str"));
        }
        let ascii = state >> at.ascii_bit & 1 == 1;
        let data = object.offset(if ascii { at.ascii_data } else { at.compact_data });
        let bytes = self.slice(data, length.min(LONGEST_TEXT) * width)?;
        if ascii && bytes.is_ascii() {
            return String::from_utf8(bytes).map_err(|_| Invalid::Not("str"));
        }
        Ok(match width {
            1 => bytes.iter().map(|byte| char::from(*byte)).collect(),
            2 => {
                char::decode_utf16(bytes.as_chunks().0.iter().map(|unit| u16::from_ne_bytes(*unit)))
                    .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect()
            }
            _ => bytes
                .as_chunks()
                .0
                .iter()
                .map(|unit| {
                    char::from_u32(u32::from_ne_bytes(*unit)).unwrap_or(char::REPLACEMENT_CHARACTER)
                })
                .collect(),
        })
    }

    /// Whether an object is the `str` `text`. Most others differ in length, and are not read.
    pub(super) fn is_text(&self, object: Address, text: &str) -> Result<bool, Invalid> {
        let length = self.word(object.offset(self.layout.at.unicode.length))?;
        Ok(length == text.chars().count() as u64 && self.text(object)? == text)
    }

    /// The content of a `bytes`.
    pub(super) fn bytes(&self, object: Address) -> Result<Vec<u8>, Invalid> {
        let len = self.word(object.offset(self.layout.at.object.size))?;
        if len > LONGEST_BYTES {
            return Err(Invalid::Not("bytes"));
        }
        self.slice(object.offset(self.layout.at.bytes.data), len)
    }

    /// The items of a `tuple`.
    pub(super) fn tuple(&self, object: Address) -> Result<Vec<Address>, Invalid> {
        let len = self.word(object.offset(self.layout.at.object.size))?;
        if len > MOST_ITEMS {
            return Err(Invalid::Not("tuple"));
        }
        let items = self.words(object.offset(self.layout.at.tuple.items), len)?;
        Ok(items.into_iter().map(Address).collect())
    }

    /// The value of an `int` of at most 60 bits.
    pub(super) fn integer(&self, object: Address) -> Result<i64, Invalid> {
        let at = &self.layout.at;
        let (digits, negative) = match (self.layout.int_format, at.long.tag) {
            (IntFormat::Tag, Some(tag)) => {
                let tag = self.word(object.offset(tag))?;
                (tag >> 3, tag & 3 == 2)
            }
            _ => {
                let size = self.word(object.offset(at.object.size))? as i64;
                (size.unsigned_abs(), size < 0)
            }
        };
        if digits > 2 {
            return Err(Invalid::Not("int"));
        }
        let bytes = self.slice(object.offset(at.long.digits), digits * 4)?;
        let magnitude = bytes.as_chunks().0.iter().rev().fold(0i64, |value, digit| {
            value.wrapping_shl(30) | i64::from(u32::from_ne_bytes(*digit))
        });
        Ok(if negative { magnitude.wrapping_neg() } else { magnitude })
    }

    /// The entries of a `dict`, keys and values.
    pub(super) fn dict(&self, object: Address) -> Result<Vec<(Address, Address)>, Invalid> {
        let at = &self.layout.at;
        let keys = self.pointer(object.offset(at.dict.keys))?;
        let values = self.pointer(object.offset(at.dict.values))?;
        let values = (!values.is_null()).then(|| values.offset(at.values.items));
        self.entries(keys, values)
    }

    /// The entries of a dict's keys, with the values of a split dict beside them.
    fn entries(
        &self,
        keys: Address,
        values: Option<Address>,
    ) -> Result<Vec<(Address, Address)>, Invalid> {
        let at = &self.layout.at.keys;
        let count = self.word(keys.offset(at.entries))?;
        if count > MOST_ITEMS / 3 {
            return Err(Invalid::Not("dict"));
        }
        let (first, with_hash) = match (at.size, at.log2_index_bytes, at.kind) {
            (Some(size), ..) => {
                let size = self.word(keys.offset(size))?;
                // The indices are as wide as the largest one needs (`dictobject.c`, `DK_IXSIZE`).
                let width = [0xff, 0xffff, 0xffff_ffff]
                    .iter()
                    .position(|most| size <= *most)
                    .map_or(8, |power| 1 << power);
                (size.wrapping_mul(width), true)
            }
            (None, Some(log2), Some(kind)) => {
                let [log2] = self.array(keys.offset(log2))?;
                let [kind] = self.array(keys.offset(kind))?;
                (1u64.checked_shl(u32::from(log2)).ok_or(Invalid::Not("dict"))?, kind == 0)
            }
            _ => return Err(Invalid::Not("dict layout")),
        };
        let stride = if with_hash { 3 } else { 2 };
        let words = self.words(keys.offset(at.indices).offset(first), count * stride)?;
        let split = values.map(|values| self.words(values, count)).transpose()?;
        let entries =
            words.chunks_exact(stride as usize).enumerate().filter_map(|(index, entry)| {
                let [.., key, value] = entry else { return None };
                let value = split.as_ref().map_or(Some(value), |split| split.get(index))?;
                (*key != 0 && *value != 0).then_some((Address(*key), Address(*value)))
            });
        Ok(entries.collect())
    }

    /// The value of a text key in a `dict`.
    pub(super) fn dict_item(&self, object: Address, key: &str) -> Result<Option<Address>, Invalid> {
        Ok(self.find(&self.dict(object)?, key))
    }

    fn find(&self, entries: &[(Address, Address)], key: &str) -> Option<Address> {
        let is_it = |(name, _): &&(Address, Address)| self.is_text(*name, key).unwrap_or(false);
        entries.iter().find(is_it).map(|(_, value)| *value)
    }

    /// An attribute in an instance's own dict.
    pub(super) fn attribute(
        &self,
        object: Address,
        name: &str,
    ) -> Result<Option<Address>, Invalid> {
        self.some_attributes(object, [name]).map(|[found]| found)
    }

    /// Some attributes in an instance's own dict, which is read once for all of them.
    pub(super) fn some_attributes<const N: usize>(
        &self,
        object: Address,
        names: [&str; N],
    ) -> Result<[Option<Address>; N], Invalid> {
        let mut attributes = self.attributes(object)?;
        attributes.truncate(MOST_ATTRIBUTES);
        Ok(names.map(|name| self.find(&attributes, name)))
    }

    /// All attributes in an instance's own dict.
    pub(super) fn attributes(&self, object: Address) -> Result<Vec<(Address, Address)>, Invalid> {
        let at = &self.layout.at;
        let r#type = self.type_of(object)?;
        let flags = self.word(r#type.offset(at.r#type.flags))?;
        let before = |bytes: u64| Address(object.0.wrapping_sub(bytes));
        let dict_or_none =
            |dict: Address| if dict.is_null() { Ok(Vec::new()) } else { self.dict(dict) };
        let split = |values: Address| {
            let keys = self.pointer(r#type.offset(at.r#type.cached_keys))?;
            if keys.is_null() || values.is_null() {
                return Ok(Vec::new());
            }
            self.entries(keys, Some(values.offset(at.values.items)))
        };
        let managed = flags & MANAGED_DICT != 0;
        match self.layout.instance_dict {
            InstanceDict::TwoWords if managed => match self.pointer(before(24))? {
                Address::NULL => split(self.pointer(before(32))?),
                dict => self.dict(dict),
            },
            InstanceDict::TaggedWord if managed => match self.pointer(before(24))? {
                Address(word) if word & 1 == 1 => split(Address(word + 1)),
                dict => dict_or_none(dict),
            },
            InstanceDict::Inline(distance) if managed => {
                let dict = self.pointer(before(distance))?;
                if !dict.is_null() || flags & INLINE_VALUES == 0 {
                    return dict_or_none(dict);
                }
                let values = object.offset(self.word(r#type.offset(at.r#type.basic_size))?);
                match at.values.valid {
                    Some(valid) if self.array(values.offset(valid))? == [0u8] => Ok(Vec::new()),
                    _ => split(values),
                }
            }
            _ => match self.word(r#type.offset(at.r#type.dict_offset))? as i64 {
                offset @ 1.. => dict_or_none(self.pointer(object.offset(offset.unsigned_abs()))?),
                _ => Ok(Vec::new()),
            },
        }
    }

    /// The namespace of a module of an interpreter.
    pub(super) fn module_of(
        &self,
        interpreter: Address,
        name: &str,
    ) -> Result<Option<Address>, Invalid> {
        let modules = self.pointer(interpreter.offset(self.layout.at.interpreter.modules))?;
        self.dict_item(modules, name)?.map(|module| self.module_dict(module)).transpose()
    }

    /// The namespace of a module.
    fn module_dict(&self, module: Address) -> Result<Address, Invalid> {
        self.pointer(module.offset(self.layout.at.module.dict))
    }
}

/// The word at `offset`.
pub(super) fn word(bytes: &[u8], offset: u64) -> Option<u64> {
    let bytes = bytes.get(usize::try_from(offset).ok()?..)?.first_chunk::<8>()?;
    Some(u64::from_ne_bytes(*bytes))
}
