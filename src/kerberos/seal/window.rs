//! Which messages of the other side were opened already.

/// How far back a message that comes again is told from one that comes late.
const REMEMBERED: u64 = 64;

/// The messages that came. Numbers go round, so what is nearer before than behind is later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    /// The number behind the newest one; none before the first, if nobody knows it.
    next: Option<u64>,
    /// Whether `next - 1 - n` came, for bit n.
    came: u64,
}

/// Where a number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind all that came; now it is the newest.
    Next,
    Seen,
    Late {
        newest: u64,
    },
}

impl Window {
    pub(super) const fn new(next: Option<u64>) -> Self {
        Self { next, came: 0 }
    }

    /// Notes the number if it is behind all others.
    pub(super) fn place(&mut self, number: u64) -> Place {
        let next = self.next.unwrap_or(number);
        let ahead = number.wrapping_sub(next);
        if ahead < 1 << 63 {
            self.came =
                u32::try_from(ahead + 1).ok().and_then(|shift| self.came.checked_shl(shift)).unwrap_or(0) | 1;
            self.next = Some(number.wrapping_add(1));
            return Place::Next;
        }
        let newest = next.wrapping_sub(1);
        let back = newest.wrapping_sub(number);
        match back >= REMEMBERED || self.came >> back & 1 == 1 {
            true => Place::Seen,
            false => Place::Late { newest },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(first: u64, numbers: &[(u64, Place)]) {
        checked(Window::new(Some(first)), numbers);
    }

    #[track_caller]
    fn checked(mut window: Window, numbers: &[(u64, Place)]) {
        for (number, place) in numbers {
            assert_eq!(window.place(*number), *place, "{number}");
        }
    }

    #[test]
    fn one_behind_the_other_is_taken_once() {
        check(7, &[(7, Place::Next), (7, Place::Seen), (8, Place::Next), (7, Place::Seen), (8, Place::Seen)]);
    }

    #[test]
    fn the_first_one_tells_where_numbers_begin_if_nobody_knows() {
        for first in [0, 7, u64::MAX - 1] {
            let next = first.wrapping_add(1);
            checked(
                Window::new(None),
                &[(first, Place::Next), (first, Place::Seen), (next, Place::Next), (first, Place::Seen)],
            );
            let late = Place::Late { newest: first };
            checked(Window::new(None), &[(first, Place::Next), (first.wrapping_sub(1), late)]);
        }
    }

    #[test]
    fn what_comes_late_is_told_from_what_comes_again() {
        let late = Place::Late { newest: 12 };
        check(7, &[(7, Place::Next), (12, Place::Next), (9, late), (7, Place::Seen), (11, late), (6, late)]);
        check(0, &[(0, Place::Next), (100, Place::Next), (1, Place::Seen), (36, Place::Seen)]);
        check(
            0,
            &[
                (100, Place::Next),
                (37, Place::Late { newest: 100 }),
                (u64::from(u32::MAX) + 200, Place::Next),
            ],
        );
        check(0, &[(0, Place::Next), (63, Place::Next), (0, Place::Seen), (1, Place::Late { newest: 63 })]);
        check(0, &[(0, Place::Next), (64, Place::Next), (0, Place::Seen), (63, Place::Late { newest: 64 })]);
    }

    #[test]
    fn numbers_go_round() {
        check(
            u64::MAX,
            &[
                (u64::MAX, Place::Next),
                (0, Place::Next),
                (u64::MAX, Place::Seen),
                (1, Place::Next),
                (1, Place::Seen),
            ],
        );
        check(0, &[(u64::MAX, Place::Late { newest: u64::MAX })]);
    }
}
