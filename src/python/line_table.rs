//! From an instruction's place to its line, for the three formats that CPython has had.

use super::layout::LineTable;

/// The line of the instruction at byte `offset` of the bytecode, 1-based; 0 when it has none.
///
/// `offset` may be negative for a frame that has not begun: that is the function's first line.
/// The formats: `Objects/lnotab_notes.txt` (up to 3.10), `Objects/locations.md` (since 3.11).
pub(super) fn line_at(format: LineTable, table: &[u8], first_line: i64, offset: i64) -> u32 {
    if offset < 0 {
        return to_line(first_line);
    }
    match format {
        LineTable::Lnotab => lnotab(table, first_line, offset),
        LineTable::Linetable => linetable(table, first_line, offset),
        LineTable::Locations => locations(table, first_line, offset),
    }
}

fn to_line(line: i64) -> u32 {
    u32::try_from(line).unwrap_or(0)
}

fn lnotab(table: &[u8], first_line: i64, offset: i64) -> u32 {
    let (mut line, mut end) = (first_line, 0);
    for &[bytes, lines] in table.as_chunks().0 {
        end += i64::from(bytes);
        if end > offset {
            break;
        }
        line += i64::from(lines.cast_signed());
    }
    to_line(line)
}

fn linetable(table: &[u8], first_line: i64, offset: i64) -> u32 {
    const NO_LINE: i8 = -128;
    let (mut line, mut end) = (first_line, 0);
    for &[bytes, lines] in table.as_chunks().0 {
        let lines = lines.cast_signed();
        if lines != NO_LINE {
            line += i64::from(lines);
        }
        end += i64::from(bytes);
        if end > offset {
            return if lines == NO_LINE { 0 } else { to_line(line) };
        }
    }
    to_line(line)
}

fn locations(table: &[u8], first_line: i64, offset: i64) -> u32 {
    let (mut line, mut end) = (first_line, 0);
    let mut bytes = table.iter().copied();
    while let Some(head) = bytes.next() {
        let units = i64::from(head & 7) + 1;
        let mut has_line = true;
        match head >> 3 & 15 {
            15 => has_line = false,
            14 => {
                line = line.wrapping_add(signed(&mut bytes));
                for _ in 0..3 {
                    varint(&mut bytes);
                }
            }
            13 => line = line.wrapping_add(signed(&mut bytes)),
            kind @ 10..=12 => {
                line = line.wrapping_add(i64::from(kind) - 10);
                bytes.nth(1);
            }
            _ => drop(bytes.next()),
        }
        end += units * 2;
        if end > offset {
            return if has_line { to_line(line) } else { 0 };
        }
    }
    to_line(line)
}

/// Six bits a byte, least significant first; bit 6 says that more follow.
fn varint(bytes: &mut impl Iterator<Item = u8>) -> i64 {
    let (mut value, mut shift) = (0i64, 0);
    for byte in bytes.take(10) {
        value |= i64::from(byte & 63) << shift;
        shift += 6;
        if byte & 64 == 0 {
            break;
        }
    }
    value
}

fn signed(bytes: &mut impl Iterator<Item = u8>) -> i64 {
    let value = varint(bytes);
    if value & 1 == 1 { -(value >> 1) } else { value >> 1 }
}

#[cfg(test)]
mod tests {
    use super::{LineTable, line_at};

    /// `def f():` on line 10 with statements on lines 11 and 13, each of 4 bytes.
    #[test]
    fn each_format_finds_the_line() {
        let cases = [
            (LineTable::Lnotab, &[0, 1, 4, 2][..]),
            (LineTable::Linetable, &[4, 1, 4, 2]),
            // Kind 11 (one line on), then kind 13 (no columns, signed varint 2 = code 4).
            (LineTable::Locations, &[0x80 | 11 << 3 | 1, 0, 0, 0x80 | 13 << 3 | 1, 4]),
        ];
        for (format, table) in cases {
            let lines: Vec<_> = [-2, 0, 2, 4, 6].map(|at| line_at(format, table, 10, at)).into();
            assert_eq!(lines, [10, 11, 11, 13, 13], "{format:?}");
        }
    }

    #[test]
    fn an_instruction_without_a_line_has_none() {
        assert_eq!(line_at(LineTable::Linetable, &[4, 0x80], 10, 0), 0);
        assert_eq!(line_at(LineTable::Locations, &[0x80 | 15 << 3 | 1], 10, 0), 0);
    }

    #[test]
    fn a_cut_table_ends() {
        let table = [0xff; 7];
        let mut huge = vec![0xe8];
        huge.extend([0x7f; 9]);
        huge.push(0x3e);
        line_at(LineTable::Locations, &huge.repeat(20), 1, i64::MAX / 2);
        for format in [LineTable::Lnotab, LineTable::Linetable, LineTable::Locations] {
            line_at(format, &table, i64::MAX / 2, i64::MAX / 2);
            line_at(format, &[], 1, 5);
        }
    }
}
