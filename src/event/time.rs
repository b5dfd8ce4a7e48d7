//! Points in time: reading and writing the forms that events use.
//!
//! Civil-date arithmetic after the proleptic Gregorian calendar (days counted from 1970-01-01).

use super::render;

/// Nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// 100 ns ticks between 1601-01-01 (FILETIME's origin) and 1970-01-01.
const FILETIME_UNIX_TICKS: i64 = 116_444_736_000_000_000;
const DAY_SECONDS: i64 = 86_400;

impl Timestamp {
    /// Reads `2023-05-29T08:47:50.6930541Z`: any number of fraction digits (more than nine are
    /// cut), `T` or a space, `Z` or nothing at the end.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let number = |range: std::ops::Range<usize>| -> Option<i64> {
            text.get(range)?
                .iter()
                .try_fold(0_i64, |n, &byte| byte.is_ascii_digit().then(|| n * 10 + i64::from(byte - b'0')))
        };
        let at = |index: usize, allowed: &[u8]| text.get(index).is_some_and(|byte| allowed.contains(byte));
        if !(at(4, b"-") && at(7, b"-") && at(10, b"T ") && at(13, b":") && at(16, b":")) {
            return None;
        }
        let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
        let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
            return None;
        }
        let rest = &text[19..];
        let digits = match rest.strip_prefix(b".") {
            Some(fraction) => fraction.iter().take_while(|byte| byte.is_ascii_digit()).count(),
            None => 0,
        };
        let tail = if rest.first() == Some(&b'.') { &rest[1 + digits..] } else { rest };
        if !(tail.is_empty() || tail == b"Z") {
            return None;
        }
        let mut nanos = 0_i64;
        for index in 0..9 {
            let digit = if index < digits { i64::from(rest[1 + index] - b'0') } else { 0 };
            nanos = nanos * 10 + digit;
        }
        let seconds = days_from_civil(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
        seconds.checked_mul(1_000_000_000)?.checked_add(nanos).map(Self)
    }

    /// From Windows' 100 ns ticks since 1601; what nanoseconds cannot hold is clamped.
    pub fn from_filetime(ticks: u64) -> Self {
        let unix = i64::try_from(ticks).unwrap_or(i64::MAX).saturating_sub(FILETIME_UNIX_TICKS);
        Self(unix.saturating_mul(100))
    }

    /// The same, none where nanoseconds cannot hold it; as `parse` of its text.
    pub fn of_filetime(ticks: u64) -> Option<Self> {
        Some(Self::from_filetime(ticks)).filter(|time| time.to_filetime() == ticks)
    }

    /// To Windows' 100 ns ticks since 1601; before 1601 is 0.
    pub fn to_filetime(self) -> u64 {
        u64::try_from(self.0.div_euclid(100) + FILETIME_UNIX_TICKS).unwrap_or(0)
    }

    /// Appends `2023-05-29T08:47:50.6930541Z` with `digits` (0 to 9) of the fraction.
    pub fn write(self, digits: usize, out: &mut Vec<u8>) {
        let seconds = self.0.div_euclid(1_000_000_000);
        let nanos = self.0.rem_euclid(1_000_000_000);
        write_seconds(seconds, out);
        if digits > 0 {
            out.push(b'.');
            let mut scale = 100_000_000;
            for _ in 0..digits.min(9) {
                out.push(b'0' + (nanos / scale % 10) as u8);
                scale /= 10;
            }
        }
        out.push(b'Z');
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = Vec::with_capacity(30);
        self.write(3, &mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// Appends a FILETIME the way Windows renders `SystemTime`: seven digits. Exact for every input.
pub fn write_filetime(ticks: u64, out: &mut Vec<u8>) {
    if let Some(text) = filetime(ticks) {
        return out.extend_from_slice(&text);
    }
    let unix = i128::from(ticks) - i128::from(FILETIME_UNIX_TICKS);
    write_seconds(unix.div_euclid(10_000_000) as i64, out);
    let fraction = unix.rem_euclid(10_000_000) as u32;
    out.push(b'.');
    let mut scale = 1_000_000;
    while scale > 0 {
        out.push(b'0' + (fraction / scale % 10) as u8);
        scale /= 10;
    }
    out.push(b'Z');
}

/// The same up to the year 9999, where all is four digits and small numbers.
#[inline]
pub(super) fn filetime(ticks: u64) -> Option<[u8; 28]> {
    const SECOND_TICKS: u64 = 10_000_000;
    const DAY_TICKS: u64 = 86_400 * SECOND_TICKS;
    if ticks >= YEAR_10000_TICKS {
        return None;
    }
    let date = date_since_1601((ticks / DAY_TICKS) as u32);
    let of_day = ticks % DAY_TICKS;
    Some(render::time(date, (of_day / SECOND_TICKS) as u32, (of_day % SECOND_TICKS) as u32))
}

/// FILETIME of 10000-01-01.
const YEAR_10000_TICKS: u64 = 2_650_467_744_000_000_000;

/// As `civil_from_days`, in numbers of half the width.
fn date_since_1601(days: u32) -> [u32; 3] {
    // From 0000-03-01.
    let days = days + 584_694;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let of_year_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * of_year_era + of_year_era / 4 - of_year_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    [era * 400 + of_year_era + u32::from(month <= 2), month, day]
}

fn write_seconds(seconds: i64, out: &mut Vec<u8>) {
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    write_padded(year, 4, out);
    for (separator, value) in
        [(b'-', month), (b'-', day), (b'T', of_day / 3600), (b':', of_day / 60 % 60), (b':', of_day % 60)]
    {
        out.push(separator);
        write_padded(value, 2, out);
    }
}

fn write_padded(value: i64, width: u32, out: &mut Vec<u8>) {
    if value >= 10_i64.pow(width) {
        out.extend_from_slice(value.to_string().as_bytes());
        return;
    }
    for place in (0..width).rev() {
        out.push(b'0' + (value / 10_i64.pow(place) % 10) as u8);
    }
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(time: Timestamp, digits: usize) -> String {
        let mut out = Vec::new();
        time.write(digits, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn zero_to_nine_fraction_digits_are_read() {
        for (written, nanos) in [
            ("1970-01-01T00:00:01Z", 1_000_000_000),
            ("1970-01-01T00:00:01.5Z", 1_500_000_000),
            ("1970-01-01T00:00:01.123Z", 1_123_000_000),
            ("1970-01-01T00:00:01.1234567Z", 1_123_456_700),
            ("1970-01-01T00:00:01.123456789Z", 1_123_456_789),
            ("1970-01-01T00:00:01.1234567899Z", 1_123_456_789),
        ] {
            assert_eq!(Timestamp::parse(written.as_bytes()), Some(Timestamp(nanos)), "{written}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for written in [
            "",
            "2023",
            "2023-13-01T00:00:00Z",
            "2023-01-01T00:00:00+01:00",
            "2023-01-01T00:00:00.x",
            "aaaa-01-01T00:00:00Z",
        ] {
            assert_eq!(Timestamp::parse(written.as_bytes()), None, "{written}");
        }
    }

    #[test]
    fn days_of_leap_years_come_back() {
        for written in [
            "2000-02-29T23:59:59.999Z",
            "1601-01-01T00:00:00.000Z".replace("1601", "1970").as_str(),
            "2024-12-31T00:00:00.001Z",
            "1969-12-31T23:59:59.500Z",
        ] {
            assert_eq!(text(Timestamp::parse(written.as_bytes()).unwrap(), 3), written);
        }
    }

    #[test]
    fn every_day_of_a_filetime_is_the_civil_date() {
        for days in (0..3_067_671_i64).step_by(7).chain([3_067_670]) {
            let date = civil_from_days(days - 134_774);
            assert_eq!(date_since_1601(days as u32).map(i64::from), [date.0, date.1, date.2], "{days}");
        }
        let mut out = Vec::new();
        write_filetime(YEAR_10000_TICKS - 1, &mut out);
        write_filetime(YEAR_10000_TICKS, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "9999-12-31T23:59:59.9999999Z10000-01-01T00:00:00.0000000Z"
        );
    }

    #[test]
    fn a_filetime_has_seven_digits() {
        let mut out = Vec::new();
        write_filetime(132_537_000_000_000_001, &mut out);
        write_filetime(0, &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "2020-12-29T07:20:00.0000001Z1601-01-01T00:00:00.0000000Z"
        );
        assert_eq!(Timestamp::from_filetime(132_537_000_000_000_001).to_filetime(), 132_537_000_000_000_001);
    }
}
