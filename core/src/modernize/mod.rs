//! Turns any XDP object into one that libbpf 1.x and this machine take: one chosen program, its
//! callees, its tail-call targets and its maps, in the sections and forms that libbpf knows.
//!
//! The passes run in the order of [`modernize`]. Each tells what it changed, so that the user can be told.

mod choose;
mod closure;
pub(crate) mod legacy;
mod machine;
mod roles;
mod types;

pub use choose::{Choice, programs};
pub use legacy::{fill_program_arrays, map_type};
pub use machine::{Machine, pin_path};
pub(crate) use types::context_pointer;

use crate::error::{Error, Result};
use crate::object::{FunctionId, Object, Slot};

/// What a caller decides.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Which program.
    pub choice: Choice,
    /// The machine that will run it.
    pub machine: Machine,
    /// The license to declare for an object that declares none.
    pub license: Option<String>,
    /// Leave the object's BTF out and make what is needed anew: for BTF that the kernel rejects.
    pub rebuild_btf: bool,
    /// Names of members of program arrays that the kernel refuses: their slots stay empty.
    pub without: Vec<String>,
}

/// An object that libbpf loads, and what the loader must know of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Modern {
    /// The object.
    pub object: Object,
    /// The chosen program.
    pub entry: FunctionId,
    /// What was changed, a sentence each.
    pub notes: Vec<String>,
}

/// Runs all passes.
///
/// # Errors
/// The choice names no program or leaves several, or the program cannot work on any kernel.
pub fn modernize(mut object: Object, options: &Options) -> Result<Modern> {
    let mut notes = Vec::new();
    fill_program_arrays(&mut object);
    empty_slots(&mut object, &options.without);
    let entry = choose::choose(&object, &options.choice)?;
    let frags = choose::is_frags(&object.function(entry).section);
    notes.extend(section_note(&object, entry));
    let (mut object, entry) = closure::extract(&object, entry)?;
    let entry = roles::assign(&mut object, entry, frags);
    machine::adapt(&mut object, options.machine, &mut notes)?;
    license(&mut object, options.license.as_deref(), &mut notes);
    types::complete(&mut object, options.rebuild_btf, &mut notes);
    types::check_externs(&object)?;
    Ok(Modern { object, entry, notes })
}

/// The program that [`modernize`] would take.
///
/// # Errors
/// The choice names no program or leaves several.
pub fn chosen(mut object: Object, choice: &Choice) -> Result<FunctionId> {
    fill_program_arrays(&mut object);
    choose::choose(&object, choice)
}

/// Takes programs of these names out of all program arrays.
fn empty_slots(object: &mut Object, names: &[String]) {
    let functions = &object.functions;
    let refused = |slot: &Slot| matches!(slot, Slot::Program(id) if names.contains(&functions[id.0].name));
    object.maps.iter_mut().for_each(|map| map.values.retain(|(_, slot)| !refused(slot)));
}

/// Tells when the program was written for another place than an interface.
fn section_note(object: &Object, entry: FunctionId) -> Option<String> {
    let function = object.function(entry);
    choose::map_program(&function.section).map(|kind| {
        format!("program {} was written for entries of a {kind}; it runs here as a plain XDP program", function.name)
    })
}

fn license(object: &mut Object, declared: Option<&str>, notes: &mut Vec<String>) {
    if object.license.is_none()
        && let Some(license) = declared
    {
        object.license = Some(license.to_string());
        notes
            .push(format!("the object declares no license and calls functions that need one: loaded as \"{license}\""));
    }
}

/// Why a function cannot be used.
fn broken(object: &Object, id: FunctionId) -> Result<()> {
    let function = object.function(id);
    match &function.broken {
        None => Ok(()),
        Some(why) => {
            Err(Error::usage(format!("function {} of section {} cannot be used", function.name, function.section))
                .cause(why))
        }
    }
}
