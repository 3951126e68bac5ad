//! Reports and exports. Invariant: writes to `&mut dyn Write`; opens no file.

mod bar;
mod escape;
mod json;
mod page;
mod quality;
mod text;

pub use self::escape::sanitise;
pub use self::json::report_json;
pub use self::page::TextOptions;
pub use self::quality::quality_line;
pub use self::text::report_text;
