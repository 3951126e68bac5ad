//! Attributes, numbers and local variables of the objects that loops are made of.

use crate::model::Address;
use crate::python::layout::AsyncioLayout;
use crate::python::object::{Invalid, Reader};
use crate::python::stack::RawFrame;
use crate::target::Memory;

impl<M: Memory> Reader<'_, M> {
    /// An attribute of an object: one of its class's slots, or of its own dict.
    pub(super) fn field(
        &self,
        layout: &AsyncioLayout,
        object: Address,
        name: &str,
    ) -> Result<Address, Invalid> {
        self.member(layout, object, name)?.ok_or(Invalid::Not("object with that field"))
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
