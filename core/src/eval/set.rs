//! Sets that change while a policy runs.

use crate::policy::Element;

/// Adds an element; whether that changed anything.
pub(super) fn insert(elements: &mut Vec<Element>, element: Element) -> bool {
    let known = elements.contains(&element);
    if !known {
        elements.push(element);
    }
    !known
}

/// Takes an element out; whether that changed anything. Ports go one by one: a part of a range may go.
pub(super) fn remove(elements: &mut Vec<Element>, element: &Element) -> bool {
    let before = elements.clone();
    let Element::Ports(gone) = element else {
        elements.retain(|other| other != element);
        return *elements != before;
    };
    *elements = Vec::new();
    for other in &before {
        let Element::Ports(ports) = other else {
            elements.push(other.clone());
            continue;
        };
        let below = gone.start().checked_sub(1).map(|end| *ports.start()..=end.min(*ports.end()));
        let above = gone.end().checked_add(1).map(|start| start.max(*ports.start())..=*ports.end());
        elements.extend([below, above].into_iter().flatten().filter(|left| !left.is_empty()).map(Element::Ports));
    }
    *elements != before
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_range_of_ports_goes() {
        let mut elements = vec![Element::Ports(80..=90), Element::Mac([0; 6])];
        assert!(remove(&mut elements, &Element::Ports(85..=85)));
        assert_eq!(elements, [Element::Ports(80..=84), Element::Ports(86..=90), Element::Mac([0; 6])]);
        assert!(!remove(&mut elements, &Element::Ports(91..=u16::MAX)));
        assert!(remove(&mut elements, &Element::Ports(0..=u16::MAX)));
        assert_eq!(elements, [Element::Mac([0; 6])]);
    }

    #[test]
    fn an_element_is_there_once() {
        let mut elements = Vec::new();
        assert!(insert(&mut elements, Element::Mac([1; 6])));
        assert!(!insert(&mut elements, Element::Mac([1; 6])));
        assert!(remove(&mut elements, &Element::Mac([1; 6])));
        assert!(elements.is_empty());
    }
}
