//! What is needed of `/proc/PID/stat`.

/// Some of the fields of the file (`proc_pid_stat(5)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    /// A letter.
    pub state: u8,
    /// 0 where it is outside our namespace.
    pub parent: i32,
    /// In clock ticks.
    pub user_time: u64,
    /// In clock ticks.
    pub system_time: u64,
    /// CPU time of the children that have ended and were waited for, in clock ticks.
    pub reaped: u64,
    pub threads: u64,
    /// In clock ticks since boot.
    pub start_time: u64,
    /// In pages.
    pub resident: u64,
    /// The CPU that it was last on.
    pub cpu: Option<usize>,
    /// How it ended, as `waitpid` would tell; 0 while it lives, or where it may not be told.
    pub exit: i32,
}

impl Stat {
    /// Not `procfs`' parser, which panics on a text that is cut in the wrong place.
    pub fn parse(text: &[u8]) -> Option<Self> {
        // `pid (name) state …`, where the name may hold any bytes.
        let end = text.iter().rposition(|&byte| byte == b')')?;
        let rest = std::str::from_utf8(text.get(end + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().take(50).collect();
        // The manual counts from one, and the name is its second.
        let field = |number: usize| fields.get(number - 3).copied();
        let number = |at| field(at)?.parse::<u64>().ok();
        Some(Self {
            state: *field(3)?.as_bytes().first()?,
            parent: field(4)?.parse().ok()?,
            user_time: number(14)?,
            system_time: number(15)?,
            reaped: number(16)?.saturating_add(number(17)?),
            threads: number(20)?,
            start_time: number(22)?,
            resident: number(24)?,
            cpu: field(39).and_then(|cpu| cpu.parse().ok()),
            exit: field(52).and_then(|exit| exit.parse().ok()).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Stat;

    const TEXT: &[u8] = b"17 (a) (b)\xff) S 1 17 17 0 -1 4194304 5 6 7 8 30 40 0 0 20 0 9 0 \
        555 4096 77 18446744073709551615 1 1";

    #[test]
    fn a_name_may_hold_any_bytes() {
        let expected = Stat {
            state: b'S',
            parent: 1,
            user_time: 30,
            system_time: 40,
            reaped: 0,
            threads: 9,
            start_time: 555,
            resident: 77,
            cpu: None,
            exit: 0,
        };
        assert_eq!(Stat::parse(TEXT), Some(expected));
    }

    #[test]
    fn what_is_cut_is_nothing() {
        let last_field = TEXT.len() - " 18446744073709551615 1 1".len();
        for end in 0..last_field - 1 {
            assert_eq!(Stat::parse(&TEXT[..end]), None, "{end}");
        }
        assert_eq!(Stat::parse(b"(a)"), None);
    }
}
