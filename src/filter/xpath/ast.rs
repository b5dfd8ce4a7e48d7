//! What an expression says, as a tree, and back to text.
//!
//! `or` and `and` hold two or more operands and never one of their own kind, so that text and tree
//! are one to one: writing a tree and reading it again gives the same tree.

use super::lex::Op;
use super::literal::{Literal, Number};
use crate::event::Timestamp;
use std::fmt;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Or(Vec<Expr>),
    And(Vec<Expr>),
    Exists(Path),
    Compare {
        path: Path,
        op: Op,
        right: Literal,
    },
    /// `band(path, mask)`: any bit of the mask is set.
    Band {
        path: Path,
        mask: Number,
    },
    /// `timediff(path) op right`, in milliseconds up to now or up to `until`.
    TimeDiff {
        path: Path,
        until: Option<Literal>,
        op: Op,
        right: Number,
    },
}

/// Steps from a context node; never empty.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Path(pub(super) Vec<Step>);

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) test: Test,
    pub(super) predicates: Vec<Expr>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Test {
    /// `*`
    Any,
    Name(Box<str>),
    /// `@name`
    Attribute(Box<str>),
    /// `@*`
    AnyAttribute,
    /// `text()`
    Text,
}

impl Expr {
    /// Joins operands, taking those of the same kind apart.
    pub(super) fn or(operands: Vec<Expr>) -> Expr {
        let take = |expr| match expr {
            Expr::Or(inner) => inner,
            other => vec![other],
        };
        join(operands, take, Expr::Or)
    }

    pub(super) fn and(operands: Vec<Expr>) -> Expr {
        let take = |expr| match expr {
            Expr::And(inner) => inner,
            other => vec![other],
        };
        join(operands, take, Expr::And)
    }

    /// Tests that Windows counts as expressions: comparisons, functions and plain existence.
    pub(super) fn terms(&self) -> usize {
        match self {
            Expr::Or(operands) | Expr::And(operands) => operands.iter().map(Expr::terms).sum(),
            Expr::Exists(path) => path.terms().max(1),
            Expr::Compare { path, .. } | Expr::Band { path, .. } | Expr::TimeDiff { path, .. } => {
                path.terms() + 1
            }
        }
    }

    pub(super) fn until(literal: Option<&Literal>, now: Timestamp) -> Timestamp {
        literal.and_then(Literal::time).unwrap_or(now)
    }
}

fn join(mut operands: Vec<Expr>, take: fn(Expr) -> Vec<Expr>, make: fn(Vec<Expr>) -> Expr) -> Expr {
    match operands.len() {
        1 => operands.remove(0),
        _ => make(operands.into_iter().flat_map(take).collect()),
    }
}

impl Path {
    pub(super) fn terms(&self) -> usize {
        self.0.iter().flat_map(|step| &step.predicates).map(Expr::terms).sum()
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Expr::Or(operands) => joined(f, operands, " or ", |_| false),
            Expr::And(operands) => joined(f, operands, " and ", |inner| matches!(inner, Expr::Or(_))),
            Expr::Exists(path) => write!(f, "{path}"),
            Expr::Compare { path, op, right } => write!(f, "{path}{}{right}", op.sign()),
            Expr::Band { path, mask } => write!(f, "band({path},{mask})"),
            Expr::TimeDiff { path, until: None, op, right } => {
                write!(f, "timediff({path}){}{right}", op.sign())
            }
            Expr::TimeDiff { path, until: Some(until), op, right } => {
                write!(f, "timediff({path},{until}){}{right}", op.sign())
            }
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    operands: &[Expr],
    word: &str,
    in_parentheses: impl Fn(&Expr) -> bool,
) -> fmt::Result {
    for (index, operand) in operands.iter().enumerate() {
        if index > 0 {
            f.write_str(word)?;
        }
        match in_parentheses(operand) {
            true => write!(f, "({operand})")?,
            false => write!(f, "{operand}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, step) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("/")?;
            }
            match &step.test {
                Test::Any => f.write_str("*")?,
                Test::Name(name) => f.write_str(name)?,
                Test::Attribute(name) => write!(f, "@{name}")?,
                Test::AnyAttribute => f.write_str("@*")?,
                Test::Text => f.write_str("text()")?,
            }
            for predicate in &step.predicates {
                write!(f, "[{predicate}]")?;
            }
        }
        Ok(())
    }
}
