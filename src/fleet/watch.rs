//! What a process costs, as `/proc` tells: processor time and resident memory.

use std::fs;

/// Ticks of `/proc/PID/stat` in a second; Linux shows this number to every program.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Usage {
    /// Seconds of processor time, in user mode and in all.
    pub(super) user: f64,
    pub(super) cpu: f64,
    pub(super) rss_bytes: u64,
    /// The most it ever was.
    pub(super) peak_bytes: u64,
}

impl Usage {
    /// `None` when there is no such process.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        Self::parse(&stat, &status)
    }

    fn parse(stat: &str, status: &str) -> Option<Self> {
        // The name in front may hold blanks and brackets.
        let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
        let user: f64 = fields.nth(11)?.parse().ok()?;
        let system: f64 = fields.next()?.parse().ok()?;
        let kib = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').split_ascii_whitespace().next()?.parse().ok()
        };
        Some(Self {
            user: user / TICKS_PER_SECOND,
            cpu: (user + system) / TICKS_PER_SECOND,
            rss_bytes: kib("VmRSS").unwrap_or_default() * 1024,
            peak_bytes: kib("VmHWM").unwrap_or_default() * 1024,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_is_read() {
        let stat = "42 (a) b (c) S 1 1 1 0 -1 0 0 0 0 0 250 50 0 0 20 0 1 0";
        let status = "Name:\ta\nVmHWM:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let usage = Usage::parse(stat, status).unwrap();
        assert_eq!(usage, Usage { user: 2.5, cpu: 3.0, rss_bytes: 1 << 20, peak_bytes: 2 << 20 });
    }

    #[test]
    fn this_process_costs_something() {
        assert!(Usage::of(std::process::id()).unwrap().rss_bytes > 100_000);
        assert_eq!(Usage::of(u32::MAX), None);
    }
}
