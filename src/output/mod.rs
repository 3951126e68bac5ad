//! Reports and exports. Invariant: writes to `&mut dyn Write`; opens no file.
