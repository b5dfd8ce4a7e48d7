//! A Dockerfile, read as far as ours goes: an instruction, an option or a form that is not known here is a mistake,
//! so that no line of it is taken for carried out that was not.

use std::collections::BTreeMap;

pub(super) struct Stage {
    /// What later stages call it.
    pub(super) name: String,
    pub(super) base: String,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, PartialEq)]
pub(super) enum Step {
    /// A line for the shell.
    Run(String),
    Copy {
        /// The stage it is from, or the context.
        from: Option<String>,
        owner: Option<String>,
        sources: Vec<String>,
        target: String,
    },
    Env(String, String),
    Label(String, String),
    User(String),
    Workdir(String),
    Volume(String),
    Expose(u16),
    StopSignal(String),
    Healthcheck {
        options: BTreeMap<String, String>,
        command: Vec<String>,
    },
    Entrypoint(Vec<String>),
    Cmd(Vec<String>),
}

pub(super) fn parse(text: &str) -> Result<Vec<Stage>, String> {
    let mut stages: Vec<Stage> = Vec::new();
    for (number, line) in lines(text) {
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        let told = |why: String| format!("line {number}: {why}");
        if word == "FROM" {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let (base, name) = match words[..] {
                [base] => (base, ""),
                [base, "AS", name] => (base, name),
                _ => return Err(told(format!("FROM {rest}"))),
            };
            stages.push(Stage { name: name.into(), base: base.into(), steps: Vec::new() });
            continue;
        }
        let stage = stages.last_mut().ok_or_else(|| told(format!("{word} before FROM")))?;
        stage.steps.extend(steps(word, rest.trim()).map_err(told)?);
    }
    Ok(stages)
}

/// Each instruction on one line, with the number of its first.
fn lines(text: &str) -> Vec<(usize, String)> {
    let (mut lines, mut open): (Vec<(usize, String)>, bool) = (Vec::new(), false);
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        // A comment may also stand between the lines of an instruction.
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        let (part, goes_on) = line.strip_suffix('\\').map_or((line, false), |part| (part.trim_end(), true));
        match lines.last_mut().filter(|_| open) {
            Some((_, before)) => *before += &format!(" {part}"),
            None => lines.push((number + 1, part.to_owned())),
        }
        open = goes_on;
    }
    lines
}

fn steps(word: &str, rest: &str) -> Result<Vec<Step>, String> {
    let unknown = || format!("{word} {rest} is not known");
    Ok(match word {
        "RUN" if rest.starts_with(['-', '[', '<']) => return Err(unknown()),
        "RUN" => vec![Step::Run(rest.into())],
        "COPY" => vec![copy(rest).ok_or_else(unknown)?],
        "ENV" => pairs(rest)?.into_iter().map(|(key, value)| Step::Env(key, value)).collect(),
        "LABEL" => pairs(rest)?.into_iter().map(|(key, value)| Step::Label(key, value)).collect(),
        "USER" => vec![Step::User(rest.into())],
        "WORKDIR" if rest.starts_with('/') => vec![Step::Workdir(rest.into())],
        "VOLUME" if rest.starts_with('/') => rest.split(' ').map(|path| Step::Volume(path.into())).collect(),
        "EXPOSE" => {
            let ports: Result<Vec<u16>, _> = rest.split(' ').map(str::parse).collect();
            ports.map_err(|_| unknown())?.into_iter().map(Step::Expose).collect()
        }
        "STOPSIGNAL" => vec![Step::StopSignal(rest.into())],
        "HEALTHCHECK" => {
            let (options, command) = rest.split_once("CMD ").ok_or_else(unknown)?;
            let option = |word: &str| {
                let (key, value) = word.strip_prefix("--")?.split_once('=')?;
                let known = ["interval", "timeout", "start-period", "retries"];
                known.contains(&key).then(|| (key.to_owned(), value.to_owned()))
            };
            let options: Option<_> = options.split_whitespace().map(option).collect();
            vec![Step::Healthcheck { options: options.ok_or_else(unknown)?, command: exec(command)? }]
        }
        "ENTRYPOINT" => vec![Step::Entrypoint(exec(rest)?)],
        "CMD" => vec![Step::Cmd(exec(rest)?)],
        _ => return Err(unknown()),
    })
}

fn copy(rest: &str) -> Option<Step> {
    let (mut from, mut owner, mut paths) = (None, None, Vec::new());
    for word in rest.split_whitespace() {
        match word.strip_prefix("--").map(|option| option.split_once('=')) {
            Some(Some(("from", stage))) => from = Some(stage.to_owned()),
            Some(Some(("chown", who))) => owner = Some(who.to_owned()),
            Some(_) => return None,
            None => paths.push(word.to_owned()),
        }
    }
    let target = paths.pop()?;
    let is_plain = |path: &String| !path.contains(['*', '?', '[', '"', '$']);
    let is_known = !paths.is_empty() && paths.iter().chain([&target]).all(is_plain);
    is_known.then_some(Step::Copy { from, owner, sources: paths, target })
}

/// The form without a shell, in which the program itself is told to stop.
fn exec(rest: &str) -> Result<Vec<String>, String> {
    serde_json::from_str(rest).map_err(|error| format!("{rest} is not in exec form: {error}"))
}

/// `a=b c="d e"`.
fn pairs(rest: &str) -> Result<Vec<(String, String)>, String> {
    let (mut pairs, mut left) = (Vec::new(), rest.trim_start());
    while !left.is_empty() {
        let wrong = || format!("{left} are no pairs");
        let (key, value) = left.split_once('=').ok_or_else(wrong)?;
        let (value, behind) = match value.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(wrong)?,
            None => value.split_once(' ').unwrap_or((value, "")),
        };
        if key.contains(char::is_whitespace) || value.contains(['$', '\\']) {
            return Err(wrong());
        }
        pairs.push((key.to_owned(), value.to_owned()));
        left = behind.trim_start();
    }
    Ok(pairs)
}

#[test]
fn lines_go_on_over_comments_and_stages_have_their_steps() {
    let stages = parse(
        "# first\nFROM a:1 AS one\nRUN x \\\n  # why\n && y; \\\n  z\nFROM scratch\n\
         COPY --from=one --chown=1:2 /a /b /c/\nENV A=1 B=\"2 3\"\nEXPOSE 1 2\n\
         HEALTHCHECK --interval=1s CMD [\"/x\", \"y z\"]\n",
    )
    .unwrap_or_else(|why| panic!("{why}"));
    assert_eq!((stages[0].name.as_str(), stages[0].base.as_str()), ("one", "a:1"));
    assert_eq!(stages[0].steps, [Step::Run("x && y; z".into())]);
    assert_eq!((stages[1].name.as_str(), stages[1].base.as_str()), ("", "scratch"));
    let copied = Step::Copy {
        from: Some("one".into()),
        owner: Some("1:2".into()),
        sources: vec!["/a".into(), "/b".into()],
        target: "/c/".into(),
    };
    let checked = Step::Healthcheck {
        options: [("interval".into(), "1s".into())].into(),
        command: vec!["/x".into(), "y z".into()],
    };
    let others = [
        copied,
        Step::Env("A".into(), "1".into()),
        Step::Env("B".into(), "2 3".into()),
        Step::Expose(1),
        Step::Expose(2),
        checked,
    ];
    assert_eq!(stages[1].steps, others);
}

#[test]
fn what_is_not_carried_out_is_refused() {
    for wrong in [
        "RUN x",
        "FROM a AS b c",
        "FROM a\nONBUILD RUN x",
        "FROM a\nADD x y",
        "FROM a\nSHELL [\"/bin/bash\"]",
        "FROM a\nRUN --mount=type=cache,target=/x y",
        "FROM a\nRUN <<EOF",
        "FROM a\nCOPY --link x y",
        "FROM a\nCOPY *.toml /x/",
        "FROM a\nCMD forebay run",
        "FROM a\nENTRYPOINT forebay",
        "FROM a\nHEALTHCHECK NONE",
        "FROM a\nENV A=$B",
        "FROM a\nWORKDIR x",
    ] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
