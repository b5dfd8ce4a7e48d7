//! Literals behind their tokens.

use super::token;
use crate::event::utf16::until_nul;
use crate::event::{EventError, Value};
use crate::evtx::cursor::Cursor;
use crate::evtx::values::{self, kind};

/// A literal value, CDATA or character behind its token; None: the token is none of these.
pub(in crate::evtx) fn literal<'a>(
    cursor: &mut Cursor<'a>,
    token: u8,
) -> Result<Option<Value<'a>>, EventError> {
    Ok(Some(match token {
        token::VALUE | token::VALUE_MORE => {
            let kind = cursor.u8()?;
            let bytes = match kind {
                kind::STRING => usize::from(cursor.u16()?) * 2,
                kind::ANSI_STRING | kind::BINARY => usize::from(cursor.u16()?),
                _ => values::item_bytes(kind, &cursor.chunk[cursor.at..]),
            };
            let bytes = cursor.take(bytes)?;
            values::value(kind, bytes)
        }
        token::CDATA | token::CDATA_MORE => {
            let units = usize::from(cursor.u16()?);
            Value::Utf16(until_nul(cursor.take(units * 2)?))
        }
        token::CHARACTER | token::CHARACTER_MORE => {
            let unit = cursor.take(2)?;
            // A line end given by number is meant as such, so it must not fold: text, not UTF-16.
            match unit {
                [b'\r', 0] => Value::Text(b"\r"),
                [b'\n', 0] => Value::Text(b"\n"),
                _ => Value::Utf16(unit),
            }
        }
        _ => return Ok(None),
    }))
}

/// The usual literal behind its token, a string; None, nothing read: another one.
#[inline]
pub(super) fn plain_string<'a>(cursor: &mut Cursor<'a>, token: u8) -> Result<Option<Value<'a>>, EventError> {
    if !matches!(token, token::VALUE | token::VALUE_MORE) || cursor.peek() != Some(kind::STRING) {
        return Ok(None);
    }
    cursor.u8()?;
    let units = usize::from(cursor.u16()?);
    Ok(Some(Value::Utf16(until_nul(cursor.take(units * 2)?))))
}

/// A string literal and nothing else.
pub(super) fn string<'a>(cursor: &mut Cursor<'a>) -> Result<Option<&'a [u8]>, EventError> {
    if !matches!(cursor.u8()?, token::VALUE | token::VALUE_MORE) || cursor.u8()? != kind::STRING {
        return Ok(None);
    }
    let units = usize::from(cursor.u16()?);
    let text = until_nul(cursor.take(units * 2)?);
    Ok((!cursor.peek().is_some_and(token::is_value)).then_some(text))
}
