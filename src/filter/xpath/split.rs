//! An expression as several smaller ones: a host takes only so many tests in one Select, but any
//! number of Selects.
//!
//! Promise: an event that the whole selects is selected by one of the parts, and the other way
//! round. That holds because `or` may be taken apart anywhere that only asks whether something is
//! there: below `and`, and inside the predicates of a path, which is true of some node.

use super::ast::{Expr, Path};

/// Parts of at most `terms_max` tests; None where one test alone, or what must stand together, has
/// more.
pub(super) fn split(expr: &Expr, terms_max: usize) -> Option<Vec<Expr>> {
    if expr.terms() <= terms_max {
        return Some(vec![expr.clone()]);
    }
    match expr {
        Expr::Or(operands) => {
            let parts = operands.iter().map(|operand| split(operand, terms_max));
            let parts: Vec<Vec<Expr>> = parts.collect::<Option<_>>()?;
            Some(together(parts.into_iter().flatten(), terms_max))
        }
        Expr::And(operands) => (0..operands.len()).find_map(|at| {
            let others: usize = expr.terms() - operands[at].terms();
            let parts = split(&operands[at], terms_max.checked_sub(others)?)?;
            let with = |part: Expr| {
                let mut operands = operands.clone();
                operands[at] = part;
                Expr::and(operands)
            };
            Some(parts.into_iter().map(with).collect())
        }),
        Expr::Exists(path) => {
            let own = expr.terms() - path.terms();
            let paths = split_path(path, terms_max.checked_sub(own)?)?;
            Some(paths.into_iter().map(Expr::Exists).collect())
        }
        Expr::Compare { path, op, right } => {
            let paths = split_path(path, terms_max.checked_sub(1)?)?;
            let with = |path| Expr::Compare { path, op: *op, right: right.clone() };
            Some(paths.into_iter().map(with).collect())
        }
        Expr::Band { .. } | Expr::TimeDiff { .. } => None,
    }
}

/// Takes one predicate of the path apart.
fn split_path(path: &Path, terms_max: usize) -> Option<Vec<Path>> {
    let steps = path.0.iter().enumerate();
    let mut places = steps.flat_map(|(at, step)| (0..step.predicates.len()).map(move |nth| (at, nth)));
    places.find_map(|(step, predicate)| {
        let whole = &path.0[step].predicates[predicate];
        let others = path.terms() - whole.terms();
        let parts = split(whole, terms_max.checked_sub(others)?)?;
        let with = |part: Expr| {
            let mut path = path.clone();
            path.0[step].predicates[predicate] = part;
            path
        };
        Some(parts.into_iter().map(with).collect())
    })
}

/// As few parts as their order allows.
fn together(parts: impl Iterator<Item = Expr>, terms_max: usize) -> Vec<Expr> {
    let mut groups: Vec<(usize, Vec<Expr>)> = Vec::new();
    for part in parts {
        let terms = part.terms();
        match groups.last_mut() {
            Some((count, group)) if *count + terms <= terms_max => {
                *count += terms;
                group.push(part);
            }
            _ => groups.push((terms, vec![part])),
        }
    }
    groups.into_iter().map(|(_, group)| Expr::or(group)).collect()
}
