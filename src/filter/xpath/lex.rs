//! Expression text to tokens, each with its place, so that every refusal can point at one.

use super::XPathError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind<'t> {
    Name(&'t str),
    /// What stands between the quotes; there is no escape in XPath 1.0.
    Literal(&'t str),
    /// Decimal, with or without a fraction, or `0x` hex, as written.
    Number(&'t str),
    /// One of `( ) [ ] / , @ *`.
    Sign(u8),
    Compare(Op),
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind<'t>,
    pub(super) at: usize,
    pub(super) bytes: usize,
}

impl Token<'_> {
    pub(super) fn refuse(&self, message: impl Into<String>) -> XPathError {
        XPathError { at: self.at, bytes: self.bytes, message: message.into() }
    }
}

/// All tokens of `text`; the last one is `End`.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, XPathError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    loop {
        let rest = text[at..].trim_start_matches([' ', '\t', '\r', '\n']);
        at = text.len() - rest.len();
        let Some(first) = rest.chars().next() else {
            tokens.push(Token { kind: Kind::End, at, bytes: 0 });
            return Ok(tokens);
        };
        let (kind, bytes) =
            token(rest, first).map_err(|(bytes, message)| XPathError { at, bytes, message })?;
        tokens.push(Token { kind, at, bytes });
        at += bytes;
    }
}

type Refused = (usize, String);

fn token(rest: &str, first: char) -> Result<(Kind<'_>, usize), Refused> {
    match first {
        '\'' | '"' => match rest[1..].find(first) {
            Some(length) => Ok((Kind::Literal(&rest[1..=length]), length + 2)),
            None => Err((1, "this quote is never closed".into())),
        },
        '0'..='9' => number(rest),
        '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => number(rest),
        '=' | '!' | '<' | '>' => comparison(rest),
        '/' if rest.starts_with("//") => Err((
            2,
            "`//` (any depth) is not part of the event XPath; write every step, such as \
             `*/EventData/Data`"
                .into(),
        )),
        '(' | ')' | '[' | ']' | '/' | ',' | '@' | '*' => Ok((Kind::Sign(first as u8), 1)),
        c if c == '_' || c.is_alphabetic() => name(rest),
        _ => Err(unknown(rest, first)),
    }
}

fn comparison(rest: &str) -> Result<(Kind<'_>, usize), Refused> {
    let (op, bytes) = match rest.as_bytes() {
        [b'=', b'=', ..] => return Err((2, "`==` is not XPath; write `=`".into())),
        [b'<', b'>', ..] => return Err((2, "`<>` is not XPath; write `!=`".into())),
        [b'!', b'=', ..] => (Op::NotEqual, 2),
        [b'<', b'=', ..] => (Op::LessOrEqual, 2),
        [b'>', b'=', ..] => (Op::GreaterOrEqual, 2),
        [b'=', ..] => (Op::Equal, 1),
        [b'<', ..] => (Op::Less, 1),
        [b'>', ..] => (Op::Greater, 1),
        _ => return Err((1, "`!` stands only in `!=`; there is no `not` in the event XPath".into())),
    };
    Ok((Kind::Compare(op), bytes))
}

fn number(rest: &str) -> Result<(Kind<'_>, usize), Refused> {
    let bytes = rest.as_bytes();
    let run = |from: usize, digit: fn(&u8) -> bool| {
        from + bytes[from..].iter().take_while(|byte| digit(byte)).count()
    };
    let end = if rest.starts_with("0x") || rest.starts_with("0X") {
        match run(2, u8::is_ascii_hexdigit) {
            2 => return Err((2, "hex digits are missing after `0x`".into())),
            end => end,
        }
    } else {
        let end = run(0, u8::is_ascii_digit);
        if bytes.get(end) == Some(&b'.') { run(end + 1, u8::is_ascii_digit) } else { end }
    };
    match rest[end..].chars().next() {
        Some(c) if c == '_' || c == '.' || c.is_alphanumeric() => {
            Err((end + c.len_utf8(), "this is no number; text is written in quotes, hex as `0x1F`".into()))
        }
        _ => Ok((Kind::Number(&rest[..end]), end)),
    }
}

fn name(rest: &str) -> Result<(Kind<'_>, usize), Refused> {
    let in_name = |c: char| matches!(c, '_' | '-' | '.' | '\u{b7}') || c.is_alphanumeric();
    let end = rest.find(|c| !in_name(c)).unwrap_or(rest.len());
    let name = &rest[..end];
    let after = rest[end..].trim_start();
    if after.starts_with("::") {
        return Err((
            end,
            match name {
                "child" => "axes are not part of the event XPath; leave out `child::`".into(),
                "attribute" => "axes are not part of the event XPath; write `@` for `attribute::`".into(),
                _ => format!(
                    "the axis `{name}::` is not part of the event XPath; only children (`a/b`) and attributes (`@a`) are"
                ),
            },
        ));
    }
    if after.starts_with(':') {
        return Err((
            end + 1,
            "namespace prefixes are not part of the event XPath; write the name without the prefix".into(),
        ));
    }
    Ok((Kind::Name(name), end))
}

fn unknown(rest: &str, first: char) -> Refused {
    let message = match first {
        '.' if rest.starts_with("..") => "`..` (the parent) is not part of the event XPath; test the parent in a predicate instead".into(),
        '.' => "`.` is not part of the event XPath; compare the element where it is named, such as `Data='x'`".into(),
        '|' if rest.starts_with("||") => "`||` is not XPath; write `or`".into(),
        '|' => "`|` (union) is not part of the event XPath; write `or` between two tests".into(),
        '&' if rest.starts_with("&&") => "`&&` is not XPath; write `and`".into(),
        '&' => "`&` is how XML escapes a sign; here write `<`, `>` or `&` itself".into(),
        '+' => "arithmetic is not part of the event XPath; write the sum".into(),
        '-' => "arithmetic and negative numbers are not part of the event XPath; a negative value is compared as text: `='-5'`".into(),
        '$' => "variables are not part of the event XPath; write the value".into(),
        _ => format!("`{}` has no place in an expression", first.escape_debug()),
    };
    (first.len_utf8(), message)
}

impl Op {
    pub(super) fn sign(self) -> &'static str {
        match self {
            Op::Equal => "=",
            Op::NotEqual => "!=",
            Op::Less => "<",
            Op::LessOrEqual => "<=",
            Op::Greater => ">",
            Op::GreaterOrEqual => ">=",
        }
    }

    /// Whether `left op right` holds when they stand in this order.
    pub(super) fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Op::Equal => ordering.is_eq(),
            Op::NotEqual => ordering.is_ne(),
            Op::Less => ordering.is_lt(),
            Op::LessOrEqual => ordering.is_le(),
            Op::Greater => ordering.is_gt(),
            Op::GreaterOrEqual => ordering.is_ge(),
        }
    }
}
