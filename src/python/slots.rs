//! Attributes that a class keeps in slots and not in a dict.

use super::layout::AsyncioLayout;
use super::object::{Invalid, Reader};
use crate::model::Address;
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

    /// An attribute of an instance, be it in its dict or in a slot.
    pub(super) fn member(
        &self,
        layout: &AsyncioLayout,
        object: Address,
        name: &str,
    ) -> Result<Option<Address>, Invalid> {
        if let Some(found) = self.attribute(object, name)? {
            return Ok(Some(found));
        }
        match self.slot(layout, self.type_of(object)?, name) {
            Ok(slot) => Ok(Some(self.pointer(object.offset(slot))?).filter(|it| !it.is_null())),
            Err(_) => Ok(None),
        }
    }
}
