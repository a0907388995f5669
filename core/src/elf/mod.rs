//! ELF: the only room that knows the bytes of an object file.

mod budget;
mod file;
mod read;
mod read_functions;
mod read_info;
mod read_maps;
mod write;

pub(crate) use budget::Budget;
pub(crate) use file::text_at;
pub use file::{File, Relocation, Section, Symbol, section_flag, section_type, symbol_type};
pub use read::read;
pub use write::write;
