//! Bars made of characters.

/// Blocks that fill one to eight eighths of a column.
const EIGHTHS: [char; 8] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉', '█'];

/// A bar of at most `columns` for a share between 0 and 1; a share that is not zero always shows.
pub(crate) fn bar(share: f64, columns: usize, unicode: bool) -> String {
    let share = share.clamp(0.0, 1.0);
    let steps = if unicode { EIGHTHS.len() } else { 1 };
    let all = columns * steps;
    let filled = (share * all as f64).round() as usize;
    let filled = if share > 0.0 { filled.max(1).min(all) } else { 0 };
    if !unicode {
        return "#".repeat(filled);
    }
    let rest = (filled % steps).checked_sub(1).and_then(|index| EIGHTHS.get(index));
    std::iter::repeat_n('█', filled / steps).chain(rest.copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::bar;

    #[test]
    fn a_bar_is_as_long_as_its_share() {
        assert_eq!(bar(1.0, 4, true), "████");
        assert_eq!(bar(0.53125, 4, true), "██▏");
        assert_eq!(bar(0.001, 4, true), "▏");
        assert_eq!(bar(0.0, 4, true), "");
        assert_eq!(bar(0.5, 4, false), "##");
        assert_eq!(bar(7.0, 4, false), "####");
        assert_eq!(bar(f64::NAN, 4, false), "");
    }
}
