//! How many columns of a terminal a text takes: a Chinese character takes two, an accent none.

use std::borrow::Cow;

/// Shown on two columns: wide and full-width characters of UAX #11, and pictures.
const WIDE: [(u32, u32); 51] = [
    (0x1100, 0x115f),
    (0x231a, 0x231b),
    (0x2329, 0x232a),
    (0x23e9, 0x23ec),
    (0x23f0, 0x23f0),
    (0x23f3, 0x23f3),
    (0x25fd, 0x25fe),
    (0x2614, 0x2615),
    (0x2648, 0x2653),
    (0x267f, 0x267f),
    (0x2693, 0x2693),
    (0x26a1, 0x26a1),
    (0x26aa, 0x26ab),
    (0x26bd, 0x26be),
    (0x26c4, 0x26c5),
    (0x26ce, 0x26ce),
    (0x26d4, 0x26d4),
    (0x26ea, 0x26ea),
    (0x26f2, 0x26f3),
    (0x26f5, 0x26f5),
    (0x26fa, 0x26fa),
    (0x26fd, 0x26fd),
    (0x2705, 0x2705),
    (0x270a, 0x270b),
    (0x2728, 0x2728),
    (0x274c, 0x274c),
    (0x274e, 0x274e),
    (0x2753, 0x2755),
    (0x2757, 0x2757),
    (0x2795, 0x2797),
    (0x27b0, 0x27b0),
    (0x27bf, 0x27bf),
    (0x2b1b, 0x2b1c),
    (0x2b50, 0x2b50),
    (0x2b55, 0x2b55),
    (0x2e80, 0x303e),
    (0x3041, 0x3247),
    (0x3250, 0x4dbf),
    (0x4e00, 0xa4cf),
    (0xa960, 0xa97f),
    (0xac00, 0xd7a3),
    (0xf900, 0xfaff),
    (0xfe10, 0xfe19),
    (0xfe30, 0xfe6f),
    (0xff01, 0xff60),
    (0xffe0, 0xffe6),
    (0x16fe0, 0x18d08),
    (0x1b000, 0x1b2ff),
    (0x1f18e, 0x1f19a),
    (0x1f200, 0x1faff),
    (0x20000, 0x3fffd),
];

/// Shown on the column of the character before.
const MARKS: [(u32, u32); 18] = [
    (0x0300, 0x036f),
    (0x0483, 0x0489),
    (0x0591, 0x05bd),
    (0x0610, 0x061a),
    (0x064b, 0x065f),
    (0x0e31, 0x0e31),
    (0x0e34, 0x0e3a),
    (0x0e47, 0x0e4e),
    (0x1ab0, 0x1aff),
    (0x1dc0, 0x1dff),
    (0x200c, 0x200d),
    (0x20d0, 0x20f0),
    (0x302a, 0x302d),
    (0x3099, 0x309a),
    (0xfe00, 0xfe0f),
    (0xfe20, 0xfe2f),
    (0xe0020, 0xe007f),
    (0xe0100, 0xe01ef),
];

/// The columns that `text`, which holds no control characters, takes.
pub(super) fn columns(text: &str) -> usize {
    text.chars().map(columns_of).sum()
}

/// `text` on `most` columns at most; an ellipsis stands for what is cut away.
pub(super) fn cut(text: &str, most: usize) -> Cow<'_, str> {
    if columns(text) <= most {
        return Cow::Borrowed(text);
    }
    let mut left = most.saturating_sub(1);
    let mut kept = String::new();
    for c in text.chars() {
        let wanted = columns_of(c);
        if wanted > left {
            break;
        }
        left -= wanted;
        kept.push(c);
    }
    kept.truncate(kept.trim_end().len());
    kept.push('…');
    Cow::Owned(kept)
}

fn columns_of(c: char) -> usize {
    let code = u32::from(c);
    // Most of what is printed.
    if code < 0x0300 {
        return 1;
    }
    match code {
        code if is_in(&MARKS, code) => 0,
        code if is_in(&WIDE, code) => 2,
        _ => 1,
    }
}

fn is_in(ranges: &[(u32, u32)], code: u32) -> bool {
    let behind = ranges.partition_point(|(first, _)| *first <= code);
    behind > 0 && code <= ranges[behind - 1].1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_takes_the_columns_that_a_terminal_gives_it() {
        for (text, wanted) in [
            ("", 0),
            ("disk", 4),
            ("磁盘", 4),
            ("磁盘 90%，告警！", 16),
            ("한글", 4),
            ("e\u{301}té", 3),
            ("🔥 ok", 5),
            ("𠮷", 2),
            ("…é—", 3),
        ] {
            assert_eq!(columns(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_cut_text_never_takes_more_columns_than_it_may() {
        assert_eq!(cut("磁盘满", 6), "磁盘满");
        assert_eq!(cut("磁盘满", 5), "磁盘…");
        assert_eq!(cut("磁盘满", 4), "磁…");
        assert_eq!(cut("disk full", 5), "disk…");
        assert_eq!(cut("disk full", 6), "disk…");
        assert_eq!(cut("disk", 0), "…");
        for most in 1..12 {
            assert!(columns(&cut("磁盘a满e\u{301}了", most)) <= most, "{most}");
        }
    }

    #[test]
    fn ranges_stand_in_order() {
        for ranges in [&WIDE[..], &MARKS[..]] {
            assert!(ranges.iter().all(|(first, last)| first <= last));
            assert!(ranges.windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
