//! Tokens to a tree, by recursive descent of bounded depth.
//!
//! ```text
//! or   = and *("or" and)      and = test *("and" test)
//! test = "(" or ")" | path [op right] | "band(" path "," number ")"
//!      | "timediff(" path ["," time] ")" op number
//! path = step *("/" step)     step = ("*" | name) *("[" or "]") | "@" (name | "*") | "text()"
//! ```
//!
//! Source: MS-EVEN6 2.2.15. What stands outside is refused in words that name it.

use super::ast::{Expr, Path, Step, Test};
use super::lex::{Kind, Op, Token, tokens};
use super::literal::{Literal, Number};
use super::schema::Place;
use super::{DEPTH_MAX, EXPRESSION_BYTES_MAX, XPathError};

/// The tree, and what Windows would not make of it.
pub(super) fn parse(text: &str) -> Result<(Expr, Vec<String>), XPathError> {
    if text.len() > EXPRESSION_BYTES_MAX {
        return Err(XPathError {
            at: EXPRESSION_BYTES_MAX,
            bytes: 0,
            message: format!("an expression has at most {EXPRESSION_BYTES_MAX} bytes; split it"),
        });
    }
    let mut parser = Parser { tokens: tokens(text)?, next: 0, depth: 0, doubts: Vec::new() };
    let expr = parser.or(Place::Root)?;
    let rest = parser.peek();
    match rest.kind {
        Kind::End => Ok((expr, parser.doubts)),
        _ => Err(parser.unexpected(rest)),
    }
}

struct Parser<'t> {
    tokens: Vec<Token<'t>>,
    next: usize,
    depth: usize,
    doubts: Vec<String>,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> Token<'t> {
        self.tokens[self.next]
    }

    /// The next token; `End` is handed out for ever.
    fn take(&mut self) -> Token<'t> {
        let token = self.peek();
        self.next = (self.next + 1).min(self.tokens.len() - 1);
        token
    }

    fn takes(&mut self, kind: Kind<'_>) -> bool {
        let is = self.peek().kind == kind;
        if is {
            self.take();
        }
        is
    }

    fn expect(&mut self, sign: u8) -> Result<(), XPathError> {
        let token = self.peek();
        match self.takes(Kind::Sign(sign)) {
            true => Ok(()),
            false if token.kind == Kind::End => {
                Err(token.refuse(format!("`{}` is missing at the end", char::from(sign))))
            }
            false => Err(self.unexpected(token)),
        }
    }

    /// Words for a token after something complete.
    fn unexpected(&self, token: Token<'t>) -> XPathError {
        let before_is_value = self.next > 0
            && matches!(
                self.tokens[self.next - 1].kind,
                Kind::Name(_) | Kind::Literal(_) | Kind::Number(_) | Kind::Sign(b')' | b']' | b'*')
            );
        match token.kind {
            Kind::End => token.refuse("the expression ends too early"),
            Kind::Sign(b'*') if before_is_value => {
                token.refuse("arithmetic is not part of the event XPath; write the product")
            }
            Kind::Name(word @ ("div" | "mod")) if before_is_value => token
                .refuse(format!("`{word}` (arithmetic) is not part of the event XPath; write the result")),
            Kind::Name(word) if word.eq_ignore_ascii_case("and") || word.eq_ignore_ascii_case("or") => {
                token.refuse(format!("write `{}` in lower case", word.to_ascii_lowercase()))
            }
            Kind::Name(_) | Kind::Sign(b'@' | b'(' | b'*') | Kind::Literal(_) | Kind::Number(_)
                if before_is_value =>
            {
                token.refuse("`and`, `or`, a comparison or a closing bracket is missing before this")
            }
            Kind::Compare(_) => token.refuse(
                "a comparison has one path on its left and one value on its right, such as `Level<=3`",
            ),
            _ => token.refuse("this does not belong here; a test such as `System/EventID=1` does"),
        }
    }

    /// One level of brackets deeper.
    fn nested<T>(
        &mut self,
        opening: Token<'t>,
        parse: impl FnOnce(&mut Self) -> Result<T, XPathError>,
    ) -> Result<T, XPathError> {
        if self.depth == DEPTH_MAX {
            return Err(opening.refuse(format!("brackets go at most {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let parsed = parse(self);
        self.depth -= 1;
        parsed
    }

    fn or(&mut self, place: Place) -> Result<Expr, XPathError> {
        let mut operands = vec![self.and(place)?];
        while self.takes(Kind::Name("or")) {
            operands.push(self.and(place)?);
        }
        Ok(Expr::or(operands))
    }

    fn and(&mut self, place: Place) -> Result<Expr, XPathError> {
        let mut operands = vec![self.test(place)?];
        while self.takes(Kind::Name("and")) {
            operands.push(self.test(place)?);
        }
        Ok(Expr::and(operands))
    }

    fn test(&mut self, place: Place) -> Result<Expr, XPathError> {
        let token = self.peek();
        let calls = self.tokens.get(self.next + 1).is_some_and(|after| after.kind == Kind::Sign(b'('));
        match token.kind {
            Kind::Sign(b'(') => {
                self.take();
                let inner = self.nested(token, |parser| parser.or(place))?;
                self.expect(b')')?;
                match self.peek().kind {
                    Kind::Compare(_) => Err(self.peek().refuse(
                        "what stands in brackets is true or false and is not compared; compare the path itself",
                    )),
                    _ => Ok(inner),
                }
            }
            Kind::Name(name) if calls && name != "text" => self.function(name, place),
            Kind::Literal(_) | Kind::Number(_) => Err(self.value_first(token, place)),
            _ => {
                let path = self.path(place)?;
                match self.peek().kind {
                    Kind::Compare(op) => {
                        self.take();
                        let right = self.right(op)?;
                        Ok(Expr::Compare { path, op, right })
                    }
                    _ => Ok(Expr::Exists(path)),
                }
            }
        }
    }

    fn value_first(&self, token: Token<'t>, place: Place) -> XPathError {
        let compared =
            self.tokens.get(self.next + 1).is_some_and(|after| matches!(after.kind, Kind::Compare(_)));
        token.refuse(match (compared, place) {
            (true, _) => "write the path on the left and the value on the right, such as `EventID=4624`",
            (_, Place::Root) => "an expression starts with `*` or `Event`, such as `*[System[EventID=4624]]`",
            _ => {
                "a value alone selects by position, which is not supported; compare with it, such as \
                 `Data[@Name='X']='Y'`"
            }
        })
    }

    fn function(&mut self, name: &str, place: Place) -> Result<Expr, XPathError> {
        let token = self.take();
        let opening = self.take();
        match name {
            "band" => {
                let path = self.nested(opening, |parser| parser.argument(place, "band(Keywords,0x10)"))?;
                self.expect(b',')?;
                let mask = self.number("band(Keywords,0x10)")?;
                if mask.bits().is_none() {
                    return Err(self.tokens[self.next - 1].refuse("bits are a whole number, such as `0x10`"));
                }
                self.expect(b')')?;
                match self.peek().kind {
                    Kind::Compare(_) => Err(self
                        .peek()
                        .refuse("`band` is itself true or false (any bit is set) and is not compared")),
                    _ => Ok(Expr::Band { path, mask }),
                }
            }
            "timediff" => {
                const LIKE: &str = "timediff(@SystemTime)<=86400000";
                let path = self.nested(opening, |parser| parser.argument(place, LIKE))?;
                let until = if self.takes(Kind::Sign(b',')) { Some(self.until()?) } else { None };
                self.expect(b')')?;
                let Kind::Compare(op) = self.peek().kind else {
                    return Err(self
                        .peek()
                        .refuse(format!("`timediff` gives milliseconds; compare them, such as `{LIKE}`")));
                };
                self.take();
                let right = self.number(LIKE)?;
                Ok(Expr::TimeDiff { path, until, op, right })
            }
            _ => Err(token.refuse(refused_function(name))),
        }
    }

    fn argument(&mut self, place: Place, like: &str) -> Result<Path, XPathError> {
        match self.peek().kind {
            Kind::Literal(_) | Kind::Number(_) | Kind::Sign(b')' | b',') => {
                Err(self.peek().refuse(format!("a path stands first here, as in `{like}`")))
            }
            _ => self.path(place),
        }
    }

    /// The second time of a `timediff`.
    fn until(&mut self) -> Result<Literal, XPathError> {
        let token = self.take();
        let literal = match token.kind {
            Kind::Literal(text) => Some(Literal::quoted(text)).filter(|text| text.time().is_some()),
            _ => None,
        };
        literal.ok_or_else(|| {
            token.refuse(
                "the second time is written out, such as `'2024-01-31T00:00:00.000Z'`; two times of one \
                 event cannot be compared",
            )
        })
    }

    fn number(&mut self, like: &str) -> Result<Number, XPathError> {
        let token = self.take();
        match token.kind {
            Kind::Number(written) => Number::parse(written)
                .ok_or_else(|| token.refuse(format!("numbers go to {} (64 bits)", u64::MAX))),
            _ => Err(token.refuse(format!("a number stands here, as in `{like}`"))),
        }
    }

    /// The value a path is compared with.
    fn right(&mut self, op: Op) -> Result<Literal, XPathError> {
        let token = self.peek();
        let literal = match token.kind {
            Kind::Number(_) => Literal::number(self.number("EventID=4624")?),
            Kind::Literal(text) => {
                self.take();
                Literal::quoted(text)
            }
            Kind::End => return Err(token.refuse("the value to compare with is missing")),
            Kind::Name(word) => {
                return Err(token.refuse(format!(
                    "two parts of one event cannot be compared; if `{word}` is text, write `'{word}'`"
                )));
            }
            _ => {
                return Err(token.refuse("a number or a text in quotes stands on the right of a comparison"));
            }
        };
        if matches!(op, Op::Equal | Op::NotEqual) || literal.is_ordered() {
            if literal.fraction_digits() > 3 {
                self.doubts.push(format!("Windows reads at most 3 fraction digits of the time {literal}"));
            }
            return Ok(literal);
        }
        Err(token.refuse(format!(
            "`{}` compares numbers and times; write a number without quotes, or a time such as \
             `'2024-01-31T00:00:00.000Z'`",
            op.sign()
        )))
    }

    fn path(&mut self, place: Place) -> Result<Path, XPathError> {
        let mut steps = Vec::new();
        let mut place = place;
        loop {
            let at = self.peek();
            let test = self.node_test(place)?;
            if let Some(doubt) = place.doubt(&test) {
                self.doubts.push(doubt);
            }
            let is_element = matches!(test, Test::Any | Test::Name(_));
            if !is_element && matches!(place, Place::Root | Place::Event) {
                return Err(at.refuse("`Event` has no attribute and no text of its own; test its parts, such as `*[System/Level=2]`"));
            }
            place = place.child(&test);
            let mut predicates = Vec::new();
            while self.peek().kind == Kind::Sign(b'[') {
                let opening = self.take();
                if !is_element {
                    return Err(opening.refuse("an attribute or text has no parts to test; compare it"));
                }
                predicates.push(self.nested(opening, |parser| parser.or(place))?);
                self.expect(b']')?;
            }
            steps.push(Step { test, predicates });
            if self.peek().kind != Kind::Sign(b'/') {
                return Ok(Path(steps));
            }
            let slash = self.take();
            if !is_element {
                return Err(slash.refuse("nothing lies below an attribute or text"));
            }
        }
    }

    fn node_test(&mut self, place: Place) -> Result<Test, XPathError> {
        let token = self.peek();
        match token.kind {
            Kind::Sign(b'*') => {
                self.take();
                Ok(Test::Any)
            }
            Kind::Sign(b'@') => {
                self.take();
                let name = self.take();
                match name.kind {
                    Kind::Name(name) => Ok(Test::Attribute(name.into())),
                    Kind::Sign(b'*') => Ok(Test::AnyAttribute),
                    _ => Err(name.refuse("the name of an attribute stands after `@`")),
                }
            }
            Kind::Name(name) => {
                self.take();
                if self.peek().kind == Kind::Sign(b'(') {
                    return match name {
                        "text" => {
                            self.take();
                            self.expect(b')').map(|()| Test::Text)
                        }
                        _ => Err(token.refuse(refused_function(name))),
                    };
                }
                if place == Place::Root && name != "Event" {
                    return Err(token
                        .refuse(format!("an expression starts with `*` or `Event`: write `*[{name}...]`")));
                }
                Ok(Test::Name(name.into()))
            }
            Kind::Sign(b'/') => Err(token.refuse(
                "paths that start with `/` are not part of the event XPath; start with `*` or `Event`",
            )),
            _ => Err(self.unexpected(token)),
        }
    }
}

/// Why a function of XPath 1.0 (or of nobody) cannot be called.
fn refused_function(name: &str) -> String {
    let instead = match name {
        "not" => "; use `!=`, or a drop rule or `suppress` for what is not wanted",
        "contains" | "starts-with" | "ends-with" | "matches" | "substring" => {
            "; Windows compares whole values only"
        }
        "position" | "last" | "count" => {
            " here: it counts the events of one query's answer, and a filter sees each event by itself"
        }
        "true" | "false" => "; compare with `'true'` or `'false'`",
        "node" | "comment" | "processing-instruction" => "; name the element, or write `*`",
        _ => "; `band()` and `timediff()` are",
    };
    format!("`{name}()` is not supported{instead}")
}
