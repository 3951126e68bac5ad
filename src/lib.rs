pub mod model;
pub mod target;
pub mod python;
pub mod sampler;
