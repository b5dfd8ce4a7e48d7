//! Paths against each other: two outputs that could write one file, an output that writes what a
//! source reads, be it as a dead letter. Opens nothing, so links are not followed.
//!
//! Promise: what passes here never gives two outputs the same name of a file.
//! Must not know: what is in the files.

use super::checked::{DeadLetter, Output};
use super::diagnostic::Diagnostic;
use super::place::at;
use super::tree::{Notes, Part, Tree};
use crate::sink::path::PathTemplate;
use crate::source::Source;
use std::path::Path;

/// Tells every pair that meets, at the one that comes later.
pub(super) fn check(tree: &Tree<'_>, sources: &[Source], outputs: &[Output], notes: &mut Notes) {
    let written: Vec<(&Output, Shape)> =
        outputs.iter().filter_map(|output| Some((output, Shape::of_output(output)?))).collect();
    let place = |output: &Output| {
        let part: &Part<'_> = tree.named.get("output")?.get(&output.name)?;
        ["file", "evtx"].iter().find_map(|kind| at(part, &["sink", kind, "path"]))
    };
    for (index, (output, shape)) in written.iter().enumerate() {
        for (other, _) in written[..index].iter().filter(|(_, other)| shape.meets(other)) {
            let message =
                format!("`output.{}` and `output.{}` can write the same file", other.name, output.name);
            let help = "each would cut and delete what the other wrote; give each a folder of its own";
            notes.tell(Diagnostic::error(place(output), message, help));
        }
        for source in sources.iter().filter(|source| read(source).iter().any(|read| shape.meets(read))) {
            let message = format!("`source.{}` reads what `output.{}` writes", source.name(), output.name);
            let help = "its events would come back for ever; write to a folder that no source reads";
            notes.tell(Diagnostic::error(place(output), message, help));
        }
    }
    for source in sources {
        let Source::Replay(replay) = source else { continue };
        let path = absolute(replay.path());
        let reads = |output: &&Output| match &output.dead_letter {
            DeadLetter::Folder { path: folder, .. } => {
                folder.to_str().is_some_and(|folder| Path::new(&path).starts_with(absolute(folder)))
            }
            _ => false,
        };
        let Some(output) = outputs.iter().find(reads) else { continue };
        let part = tree.named.get("source").and_then(|named| named.get(source.name()));
        let message = format!("`source.{}` reads the dead letter of `output.{}`", source.name(), output.name);
        let help = "what is refused again would come back for ever, and the other outputs would have all of it twice; \
                    read it in a pipeline of its own, with that output alone";
        notes.tell(Diagnostic::error(part.and_then(|part| at(part, &["replay", "path"])), message, help));
    }
}

/// What a source may read: a file, the logs of a folder, a glob.
fn read(source: &Source) -> Vec<Shape> {
    match source {
        Source::Evtx(evtx) => {
            let shapes = evtx.paths().iter().map(|path| absolute(path));
            shapes.flat_map(|path| [Shape::glob(&path), Shape::glob(&format!("{path}/*.evtx"))]).collect()
        }
        Source::Wef(_) => Vec::new(),
        Source::Replay(replay) if replay.path() == "-" => Vec::new(),
        Source::Replay(replay) => vec![Shape(absolute(replay.path()).chars().map(Token::Char).collect())],
    }
}

/// All names that a template or glob stands for.
struct Shape(Vec<Token>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// One character of a name.
    One,
    /// Any characters of a name, or none.
    Many,
    /// Any characters, folders included, or none.
    Deep,
}

impl Shape {
    fn of_output(output: &Output) -> Option<Self> {
        let path = output.sink.path()?;
        let template = PathTemplate::parse(path).ok()?;
        let mut tokens: Vec<Token> =
            format!("{}/", absolute(template.root().to_str()?)).chars().map(Token::Char).collect();
        for piece in template.pieces() {
            match piece {
                Some(text) => tokens.extend(text.chars().map(Token::Char)),
                None => tokens.extend([Token::One, Token::Many]),
            }
        }
        Some(Self(tokens))
    }

    fn glob(pattern: &str) -> Self {
        let (mut tokens, mut rest) = (Vec::new(), pattern);
        while let Some(first) = rest.chars().next() {
            let (token, length) = match first {
                '?' => (Token::One, 1),
                '*' if rest.starts_with("**/") => (Token::Deep, 3),
                '*' if rest.starts_with("**") => (Token::Deep, 2),
                '*' => (Token::Many, 1),
                // A bracket that comes first is one of the set.
                '[' => match rest.char_indices().skip(2).find(|(_, sign)| *sign == ']') {
                    Some((end, _)) => (Token::One, end + 1),
                    None => (Token::Char('['), 1),
                },
                other => (Token::Char(other), other.len_utf8()),
            };
            tokens.push(token);
            rest = &rest[length..];
        }
        Self(tokens)
    }

    /// Whether there is a name that both stand for: the product of the two as automata, walked.
    fn meets(&self, other: &Self) -> bool {
        let (a, b) = (&self.0, &other.0);
        let width = b.len() + 1;
        let mut seen = vec![false; (a.len() + 1) * width];
        let mut open = vec![(0, 0)];
        while let Some((i, j)) = open.pop() {
            if std::mem::replace(&mut seen[i * width + j], true) {
                continue;
            }
            match (a.get(i), b.get(j)) {
                (None, None) => return true,
                (Some(Token::Many | Token::Deep), _) | (_, Some(Token::Many | Token::Deep)) => {
                    for (own, facing, skip, take) in [
                        (a.get(i), b.get(j), (i + 1, j), (i, j + 1)),
                        (b.get(j), a.get(i), (i, j + 1), (i + 1, j)),
                    ] {
                        if let Some(own @ (Token::Many | Token::Deep)) = own {
                            open.push(skip);
                            open.extend(facing.filter(|facing| own.takes(**facing)).map(|_| take));
                        }
                    }
                }
                (Some(own), Some(facing)) if own.takes(*facing) || facing.takes(*own) => {
                    open.push((i + 1, j + 1))
                }
                _ => {}
            }
        }
        false
    }
}

impl Token {
    /// Whether a single sign of the other side can stand here.
    fn takes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Char(own), Self::Char(other)) => own == other,
            (Self::One | Self::Many, Self::Char(other)) => other != '/',
            (Self::One | Self::Many, Self::One) | (Self::Deep, Self::Char(_) | Self::One) => true,
            _ => false,
        }
    }
}

/// As the process would resolve it, without looking at the disk.
fn absolute(path: &str) -> String {
    let absolute =
        std::path::absolute(path).map_or_else(|_| path.to_owned(), |path| path.display().to_string());
    absolute.trim_end_matches('/').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn meet(a: &str, b: &str) -> bool {
        let (a, b) = (Shape::glob(a), Shape::glob(b));
        assert_eq!(a.meets(&b), b.meets(&a));
        a.meets(&b)
    }

    #[test]
    fn shapes_meet_when_one_name_is_of_both() {
        for (a, b) in [
            ("/x/a", "/x/a"),
            ("/x/?*.log", "/x/security.log"),
            ("/x/?*-?*", "/x/a-*"),
            ("/**/*.evtx", "/x/y/z.evtx"),
            ("/x/[abc].log", "/x/?.log"),
            ("/x/**", "/x/y/z"),
        ] {
            assert!(meet(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("/x/a", "/x/b"),
            ("/x/?*.log", "/x/.log"),
            ("/x/*", "/x/y/z"),
            ("/x/*.jsonl", "/x/*.evtx"),
            ("/srv/incoming/**/*.evtx", "/srv/archive/?*/?*.evtx"),
            ("/x/a", "/x/ab"),
        ] {
            assert!(!meet(a, b), "{a} {b}");
        }
    }
}
