//! `xs:duration` as WS-Management uses it: `PT60.000S`.

use std::fmt;
use std::time::Duration;

/// Reads days, hours, minutes and seconds (`P1DT2H3M4.5S`). Years and months have no fixed length
/// and are refused unless they are nought; negative spans are refused. Finer than a millisecond is cut.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let mut rest = text.trim().strip_prefix('P')?;
    let (mut in_time, mut any, mut nanos) = (false, false, 0_u128);
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            if in_time {
                return None;
            }
            in_time = true;
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, unit) = (nanos_of(&rest[..end])?, rest[end..].chars().next()?);
        rest = &rest[end + unit.len_utf8()..];
        let seconds = match (in_time, unit) {
            (false, 'Y' | 'M') if number == 0 => 0,
            (false, 'D') => 86_400,
            (true, 'H') => 3600,
            (true, 'M') => 60,
            (true, 'S') => 1,
            _ => return None,
        };
        nanos = nanos.checked_add(number.checked_mul(seconds)?)?;
        any = true;
    }
    let whole = u64::try_from(nanos / 1_000_000_000).ok()?;
    any.then(|| Duration::new(whole, (nanos % 1_000_000_000) as u32 / 1_000_000 * 1_000_000))
}

/// A decimal number in billionths; digits beyond are cut.
fn nanos_of(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || whole.len() > 19 || fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let mut nanos = whole.parse::<u128>().ok()? * 1_000_000_000;
    let mut scale = 100_000_000;
    for digit in fraction.bytes() {
        nanos += u128::from(digit - b'0') * scale;
        scale /= 10;
    }
    Some(nanos)
}

/// `PT60.000S`: whole seconds and three digits.
pub(super) struct Seconds(pub(super) Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PT{}.{:03}S", self.0.as_secs(), self.0.subsec_millis())
    }
}

/// `PT60.0S`: as Windows writes a ConnectionRetry, as long as one digit is enough.
pub(super) struct RetrySeconds(pub(super) Duration);

impl fmt::Display for RetrySeconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.subsec_millis();
        if millis.is_multiple_of(100) {
            return write!(f, "PT{}.{}S", self.0.as_secs(), millis / 100);
        }
        Seconds(self.0).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_in_all_their_forms() {
        for (text, millis) in [
            ("PT60.000S", 60_000),
            ("PT60.0S", 60_000),
            ("PT0.500S", 500),
            ("PT3960732748.184S", 3_960_732_748_184),
            ("P1DT2H3M4.5S", 93_784_500),
            ("P0Y0M1D", 86_400_000),
            ("PT15M", 900_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
    }

    #[test]
    fn what_has_no_length_is_refused() {
        for text in ["", "P", "PT", "60", "-PT1S", "P1Y", "P1M", "PT1D", "PTS", "PT.S", "PT1.2.3S", "PT1S1"] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("PT99999999999999999999S"), None);
        assert_eq!(parse("P9999999999999999999D"), None);
    }

    #[test]
    fn seconds_are_written_as_windows_writes_them() {
        assert_eq!(Seconds(Duration::from_secs(3600)).to_string(), "PT3600.000S");
        assert_eq!(Seconds(Duration::from_millis(500)).to_string(), "PT0.500S");
        assert_eq!(RetrySeconds(Duration::from_secs(60)).to_string(), "PT60.0S");
        assert_eq!(RetrySeconds(Duration::from_millis(1250)).to_string(), "PT1.250S");
    }
}
