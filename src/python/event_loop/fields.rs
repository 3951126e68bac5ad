//! Attributes, numbers and local variables of the objects that loops are made of.

use crate::model::Address;
use crate::python::layout::AsyncioLayout;
use crate::python::object::{Invalid, Reader};
use crate::python::stack::RawFrame;
use crate::target::Memory;

impl<M: Memory> Reader<'_, M> {
    /// The offset of what `__slots__` of a class, or of one of its bases, declares by this name.
    pub(super) fn slot(
        &self,
        layout: &AsyncioLayout,
        r#type: Address,
        name: &str,
    ) -> Result<u64, Invalid> {
        /// No such class has as many bases.
        const MOST_BASES: usize = 16;
        let mut owner = r#type;
        for _ in 0..MOST_BASES {
            if owner.is_null() {
                break;
            }
            let namespace = self.pointer(owner.offset(layout.at.r#type.dict))?;
            if !namespace.is_null()
                && let Some(descriptor) = self.dict_item(namespace, name)?
                && self.type_name_of(descriptor)? == "member_descriptor"
            {
                // `PyMemberDescrObject`: type, name and qualified name, then the `PyMemberDef`,
                // whose offset comes after its name and type.
                let member = descriptor.offset(self.layout.at.object.r#type + 8 + 24);
                return self.word(self.pointer(member)?.offset(16));
            }
            owner = self.pointer(owner.offset(layout.at.r#type.base))?;
        }
        Err(Invalid::Not("class with that slot"))
    }

    /// An attribute of an object: one of its class's slots, or of its own dict.
    pub(super) fn field(
        &self,
        layout: &AsyncioLayout,
        object: Address,
        name: &str,
    ) -> Result<Address, Invalid> {
        match self.slot(layout, self.type_of(object)?, name) {
            Ok(offset) => self.pointer(object.offset(offset)),
            Err(_) => self.attribute(object, name)?.ok_or(Invalid::Not("object with that field")),
        }
    }

    /// The value of a `float`.
    pub(super) fn float(&self, object: Address) -> Result<f64, Invalid> {
        if self.type_name_of(object)? != "float" {
            return Err(Invalid::Not("float"));
        }
        // It follows the object's head, whose last word is the type.
        self.word(object.offset(self.layout.at.object.r#type + 8)).map(f64::from_bits)
    }

    /// Some local variables of a frame, as their words; the caller takes off what marks them.
    pub(super) fn locals<const N: usize>(
        &self,
        frame: RawFrame,
        places: [usize; N],
    ) -> Result<[u64; N], Invalid> {
        let count = places.iter().max().map_or(0, |last| last + 1);
        let locals = frame.address.offset(self.layout.at.frame.localsplus);
        let words = self.words(locals, count as u64)?;
        Ok(places.map(|place| words.get(place).copied().unwrap_or(0)))
    }
}
