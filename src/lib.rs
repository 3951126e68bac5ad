pub mod model;
pub mod python;
pub mod sampler;
pub mod target;
