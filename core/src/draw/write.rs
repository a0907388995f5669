//! Numbers into the bytes of a packet.

use crate::cond::{Load, Operator, Value};
use crate::eval::cond::View;

/// Beyond that nothing is written.
const LONGEST: usize = 1514;

/// Writes each number where it is looked for; whether all could be written.
pub(super) fn all(values: &[(Value, u32)], packet: &mut Vec<u8>) -> bool {
    values.iter().all(|(value, number)| write(value, *number, packet))
}

fn view(packet: &[u8]) -> View<'_> {
    let length = u32::try_from(packet.len()).unwrap_or(u32::MAX);
    View { packet, length, ifindex: None, sets: &[] }
}

/// Makes a value come out as this number.
fn write(value: &Value, number: u32, packet: &mut Vec<u8>) -> bool {
    match value {
        Value::Const(constant) => *constant == number,
        Value::Length => u32::try_from(packet.len()) == Ok(number),
        Value::Ifindex | Value::Returned(_) => false,
        Value::Load(load) => bytes(load, number, packet),
        Value::Negative(inner) => write(inner, number.wrapping_neg(), packet),
        Value::Arithmetic(left, operator, right) => match (&**left, &**right) {
            (inner, Value::Const(constant)) => {
                let old = view(packet).number_of(inner).unwrap_or(0);
                backwards(*operator, old, *constant, number).is_some_and(|number| write(inner, number, packet))
            }
            (Value::Const(constant), inner) => {
                let number = match operator {
                    Operator::Add => number.wrapping_sub(*constant),
                    Operator::Xor => number ^ constant,
                    Operator::Subtract => constant.wrapping_sub(number),
                    _ => return view(packet).number_of(value) == Some(number),
                };
                write(inner, number, packet)
            }
            _ => view(packet).number_of(value) == Some(number),
        },
    }
}

/// The number from which an operation with a constant leads to the wanted one, as near to the old one as can be.
fn backwards(operator: Operator, old: u32, constant: u32, wanted: u32) -> Option<u32> {
    Some(match operator {
        Operator::Add => wanted.wrapping_sub(constant),
        Operator::Subtract => wanted.wrapping_add(constant),
        Operator::Xor => wanted ^ constant,
        Operator::And if wanted & !constant == 0 => old & !constant | wanted,
        Operator::Or if wanted & constant == constant => old & constant | wanted & !constant,
        Operator::Multiply if constant != 0 && wanted.is_multiple_of(constant) => wanted / constant,
        Operator::Divide => wanted.checked_mul(constant)?,
        Operator::Modulo if wanted < constant => old.checked_sub(old % constant)?.checked_add(wanted)?,
        Operator::ShiftLeft => wanted.checked_shr(constant)?,
        Operator::ShiftRight => wanted.checked_shl(constant)? | old & !u32::MAX.checked_shl(constant)?,
        Operator::And | Operator::Or | Operator::Multiply | Operator::Modulo => return None,
    })
}

fn bytes(Load { at, width }: &Load, number: u32, packet: &mut Vec<u8>) -> bool {
    let (Some(place), size) = (view(packet).offset_of(at), *width as usize) else { return false };
    let end = place.saturating_add(size);
    if end > LONGEST {
        return false;
    }
    if end > packet.len() {
        packet.resize(end, 0);
    }
    let all = number.to_be_bytes();
    match (packet.get_mut(place..end), all.get(all.len() - size..)) {
        (Some(room), Some(bytes)) => room.copy_from_slice(bytes),
        _ => return false,
    }
    true
}
