//! Elements of sets in the maps of a loaded policy: each kind of elements of a set has an array of one map, and they are
//! in that map. It is a table (`xdpilot_core::set_table`) where they are many addresses, else a map of the kernel's that
//! finds them by itself.

use xdpilot_core::cond::Part;
use xdpilot_core::emit::Options;
use xdpilot_core::error::{Error, Result};
use xdpilot_core::object::Shape;
use xdpilot_core::policy::Element;
use xdpilot_core::set_table::{Full, Geometry, LINE, Table};
use xdpilot_kernel::map::Map;
use xdpilot_kernel::mapped::Mapped;

use super::plain;

/// `ENOSPC`.
const NO_SPACE: i32 = 28;
/// From so many changes on, for one element each, a table is made anew: a removal looks through all elements.
const ANEW: usize = 256;

/// The kind in words.
pub fn part_name(part: Part) -> String {
    match part {
        Part::V4 => "IPv4 addresses".into(),
        Part::V6 => "IPv6 addresses".into(),
        Part::Port => "ports".into(),
        Part::Mac => "MAC addresses".into(),
        Part::Tuple(layout) => format!("tuples ({layout})"),
    }
}

/// What a set has of one kind of elements.
#[derive(Debug)]
pub struct Contents {
    outer: Map,
    inner: Map,
    kind: Part,
    /// The memory of a table.
    mapped: Option<Mapped>,
}

impl Contents {
    /// Makes the map that the elements are in, of this shape, puts those of the kind into it, and it in its place.
    ///
    /// # Errors
    /// There is no room for them, or the kernel refuses.
    pub fn create(outer: Map, kind: Part, shape: &Shape, elements: &[Element]) -> Result<Self> {
        let inner = filled(&outer.info().name, kind, shape, Geometry::of(kind, elements), elements)?;
        outer.set_inner(0, &inner)?;
        Self::new(outer, inner, kind)
    }

    /// The elements in the map at its place.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn open(outer: Map, kind: Part) -> Result<Self> {
        let inner = outer.inner(0)?.ok_or_else(|| {
            Error::failed(format!("open map {}", outer.info().name)).cause("there are no elements in it yet")
        })?;
        Self::new(outer, inner, kind)
    }

    fn new(outer: Map, inner: Map, kind: Part) -> Result<Self> {
        let mapped = if is_table(inner.info().value_size, kind) { Some(Mapped::new(&inner)?) } else { None };
        Ok(Contents { outer, inner, kind, mapped })
    }

    /// Exchanges all elements at once: each packet sees those before or these. What is left of memory is the new map.
    ///
    /// # Errors
    /// There is no room for them, or the kernel refuses: all is as it was.
    pub fn replace(&mut self, elements: &[Element]) -> Result<()> {
        let info = self.inner.info();
        let mut shape = Shape {
            kind: info.map_type,
            key_size: info.key_size,
            value_size: info.value_size,
            max_entries: info.max_entries,
            flags: info.flags,
            ..Shape::default()
        };
        let geometry = match self.table()? {
            Some(table) => table.geometry(),
            None => Geometry::of(self.kind, elements),
        };
        if self.mapped.is_none() && self.kind != Part::Port {
            let twice = 2 * self.count_of_kind(elements);
            shape.max_entries = shape.max_entries.max(u32::try_from(twice).unwrap_or(u32::MAX));
        }
        let inner = filled(&self.outer.info().name, self.kind, &shape, geometry, elements)?;
        self.outer.set_inner(0, &inner)?;
        self.mapped = if self.mapped.is_some() { Some(Mapped::new(&inner)?) } else { None };
        self.inner = inner;
        Ok(())
    }

    /// Whether they are so many that a table would find them faster, which takes loading the policy anew.
    pub fn would_be_table(&self, elements: &[Element]) -> bool {
        let addresses = matches!(self.kind, Part::V4 | Part::V6) && self.mapped.is_none();
        addresses && self.count_of_kind(elements) >= Options::default().tables_from
    }

    fn count_of_kind(&self, elements: &[Element]) -> usize {
        elements.iter().filter(|element| element.part() == self.kind).count()
    }

    /// Adds the elements of the kind; how many were not there before (of ports: numbers, not ranges).
    ///
    /// # Errors
    /// There is no room for them, or the kernel refuses.
    pub fn add(&mut self, elements: &[Element]) -> Result<usize> {
        Ok(self.change(elements, &[])?.0)
    }

    /// Removes the elements of the kind; how many were there, counted as [`Contents::add`] does.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn remove(&mut self, elements: &[Element]) -> Result<usize> {
        Ok(self.change(&[], elements)?.1)
    }

    /// Makes of contents that hold `old` those that hold `new`, and leaves what else is there; how many elements were
    /// added and removed. What stays is there all the time.
    ///
    /// # Errors
    /// As [`Contents::add`].
    pub fn apply(&mut self, old: &[Element], new: &[Element]) -> Result<(usize, usize)> {
        if self.kind == Part::Port {
            return plain::apply_ports(&self.inner, old, new);
        }
        let (removed, added) = difference(old, new);
        self.change(&added, &removed)
    }

    fn change(&mut self, added: &[Element], removed: &[Element]) -> Result<(usize, usize)> {
        let Some(table) = self.table()? else {
            let added = plain::add(&self.inner, self.kind, added)?;
            return Ok((added, plain::remove(&self.inner, self.kind, removed)?));
        };
        if added.len() + removed.len() >= ANEW {
            return self.change_anew(added, removed);
        }
        let mut counts = (0, 0);
        for element in added {
            match table.add(element) {
                Ok(new) => counts.0 += usize::from(new),
                // What was removed leaves room behind in a new table.
                Err(Full) => return self.change_anew(added, removed).map(|(rest, gone)| (counts.0 + rest, gone)),
            }
        }
        counts.1 = removed.iter().filter(|element| table.remove(element)).count();
        Ok(counts)
    }

    /// The same by a new table.
    fn change_anew(&mut self, added: &[Element], removed: &[Element]) -> Result<(usize, usize)> {
        let mut all: std::collections::HashSet<Element> = self.list()?.into_iter().collect();
        let mut counts = (0, 0);
        for element in added.iter().filter(|element| element.part() == self.kind) {
            counts.0 += usize::from(all.insert(element.clone()));
        }
        counts.1 = removed.iter().filter(|element| all.remove(element)).count();
        self.replace(&all.into_iter().collect::<Vec<_>>())?;
        Ok(counts)
    }

    /// Whether an address is in the set all the same, by a wider prefix.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn covers(&self, element: &Element) -> Result<bool> {
        let Some(table) = self.table()? else { return plain::covers(&self.inner, element) };
        Ok(match element {
            Element::V4(address, _) => table.contains(&address.octets()),
            Element::V6(address, _) => table.contains(&address.octets()),
            _ => false,
        })
    }

    /// The elements, in order.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn list(&self) -> Result<Vec<Element>> {
        self.table()?.map_or_else(|| plain::list(&self.inner, self.kind), |table| Ok(table.elements()))
    }

    /// How many elements there are; ranges of ports count once.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn count(&self) -> Result<usize> {
        self.table()?.map_or_else(|| plain::count(&self.inner, self.kind), |table| Ok(table.count()))
    }

    fn table(&self) -> Result<Option<Table<'_>>> {
        let Some(mapped) = &self.mapped else { return Ok(None) };
        let broken = || Error::failed(format!("read map {}", self.inner.info().name)).cause("it holds no table");
        Table::open(mapped.words()).ok_or_else(broken).map(Some)
    }
}

/// What is in the first only, and in the second only.
pub fn difference(old: &[Element], new: &[Element]) -> (Vec<Element>, Vec<Element>) {
    let only = |these: &[Element], those: &[Element]| -> Vec<Element> {
        let those: std::collections::HashSet<&Element> = those.iter().collect();
        these.iter().filter(|element| !those.contains(element)).cloned().collect()
    };
    (only(old, new), only(new, old))
}

/// Whether an error says that there is no room for an element.
pub fn is_full(error: &Error) -> bool {
    // E2BIG of hashes, ENOSPC of tries and tables.
    matches!(error.errno_value(), Some(7 | NO_SPACE))
}

/// Whether elements of a kind in a map with values of this size are a table.
fn is_table(value_size: u32, kind: Part) -> bool {
    matches!(kind, Part::V4 | Part::V6) && value_size as usize == 8 * LINE
}

/// A new map with the elements of a kind.
fn filled(name: &str, kind: Part, shape: &Shape, geometry: Geometry, elements: &[Element]) -> Result<Map> {
    let inner = Map::create(name, shape)?;
    if is_table(shape.value_size, kind) {
        let mapped = Mapped::new(&inner)?;
        let filled = Table::new(mapped.words(), geometry).ok_or(Full).and_then(|table| table.fill(elements));
        filled.map_err(|Full| no_room(name, geometry, elements.len()))?;
    } else {
        plain::fill(&inner, kind, elements)?;
    }
    Ok(inner)
}

fn no_room(name: &str, geometry: Geometry, elements: usize) -> Error {
    Error::failed(format!("put {elements} elements into map {name}")).errno(NO_SPACE).cause(format!(
        "it has room for {} elements since the policy was loaded, for fewer of other lengths than those were; loading it anew \
         makes more",
        geometry.capacity
    ))
}
