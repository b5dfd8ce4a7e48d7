//! The image: the lines of docker/Dockerfile, carried out in folders instead of by an engine.
//!
//! Base images cannot be pulled here. What stands for `debian:bookworm-slim` is made by `.ci/run` from the same
//! packages of Debian, by mmdebstrap. What stands for the image of Rust is this machine: the program is the one that
//! cargo has built for the tests, or what `FOREBAY_BIN` names; with `FOREBAY_CONTAINER=full` the Dockerfile's own
//! line builds it, in its own context.

use super::dockerfile::{self, Stage, Step};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub(super) struct Image {
    pub(super) root: PathBuf,
    pub(super) user: (u32, u32),
    pub(super) directory: String,
    pub(super) env: Vec<(String, String)>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) volumes: Vec<String>,
    pub(super) ports: Vec<u16>,
    pub(super) stop_signal: String,
    pub(super) health: Vec<String>,
    pub(super) entrypoint: Vec<String>,
    pub(super) command: Vec<String>,
    /// In words, which program is in it.
    pub(super) program: String,
    /// Nobody else builds there meanwhile.
    _lock: File,
}

/// What the first stage must do; the rest of its line is carried out in any case.
const BUILD: &str = "cargo build --release --locked --bin forebay";

/// The image, built once for all tests, or a word on why the test is skipped.
pub(super) fn image(test: &str) -> Option<&'static Image> {
    static IMAGE: OnceLock<Result<Image, String>> = OnceLock::new();
    match IMAGE.get_or_init(|| base().map(|base| build(&base))) {
        Ok(image) => Some(image),
        Err(why) => {
            println!("SKIP {test}: {why}");
            None
        }
    }
}

/// Debian, packed, where the machine can run something in it.
pub(crate) fn base() -> Result<PathBuf, String> {
    if !rustix::process::geteuid().is_root() {
        return Err("another root folder needs root".into());
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
    let base = std::env::var_os("FOREBAY_BASE")
        .map_or_else(|| home().join(".cache/forebay/base/bookworm.tar"), PathBuf::from);
    if !base.exists() {
        return Err(format!("{} is not there; .ci/run makes it", base.display()));
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = "mkdir a b c && mount -t overlay overlay -o lowerdir=a:b c && chroot --version >/dev/null";
    let tried = Command::new("unshare")
        .args(["--mount", "--pid", "--fork", "sh", "-ec", mount])
        .current_dir(folder.path())
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    if tried.status.success() { Ok(base) } else { Err(told(&tried.stderr)) }
}

/// Unpacks Debian into a folder, with what an engine gives a step that builds: names and times of the machine.
pub(crate) fn unpack(base: &Path, root: &Path) {
    fs::create_dir_all(root).unwrap();
    // Devices are those of the machine.
    run(Command::new("tar").arg("-xf").arg(base).args(["--exclude", "./dev/*", "-C"]).arg(root));
    let _ = fs::copy("/etc/resolv.conf", root.join("etc/resolv.conf"));
}

/// A line for the shell of a root folder.
pub(crate) fn within(root: &Path, directory: &str, line: &str) -> Command {
    let script = "mount -t proc proc \"$1/proc\"; mount --rbind /dev \"$1/dev\"; \
                  exec /usr/bin/unshare --root=\"$1\" --wd=\"$2\" /bin/sh -c \"$3\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script, "sh"]);
    command.arg(root).args([directory, line]).env_clear().env("HOME", "/root").env("LC_ALL", "C");
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// Runs it to its end; what it wrote.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let said = told(&output.stdout);
    assert!(output.status.success(), "{command:?}: {said}\n{}", told(&output.stderr));
    said
}

fn told(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn build(base: &Path) -> Image {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("image");
    let lock = File::create(folder.with_extension("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let _ = fs::remove_dir_all(&folder);
    let text = fs::read_to_string(repository().join("docker/Dockerfile")).unwrap();
    let stages = dockerfile::parse(&text).unwrap_or_else(|why| panic!("docker/Dockerfile: {why}"));
    let [program, packages, last] = &stages[..] else { panic!("three stages are known") };
    assert_eq!(last.base, "scratch");
    let context = folder.join("context");
    copy_context(&context);

    let mut image = Image {
        root: folder.join("image"),
        user: (0, 0),
        directory: "/".into(),
        env: Vec::new(),
        labels: BTreeMap::new(),
        volumes: Vec::new(),
        ports: Vec::new(),
        stop_signal: "SIGTERM".into(),
        health: Vec::new(),
        entrypoint: Vec::new(),
        command: Vec::new(),
        program: build_program(program, &context, &folder.join(&program.name)),
        _lock: lock,
    };
    let root = folder.join(&packages.name);
    unpack(base, &root);
    build_root(packages, &root);
    fs::create_dir(&image.root).unwrap();
    for step in &last.steps {
        carry_out(step, &folder, &mut image);
    }
    for done in [&program.name, &packages.name] {
        fs::remove_dir_all(folder.join(done)).unwrap();
    }
    image
}

/// What `docker build .` would send: what git has, less what `.dockerignore` names.
fn copy_context(context: &Path) {
    let ignored = fs::read_to_string(repository().join(".dockerignore")).unwrap();
    let ignored: Vec<&str> =
        ignored.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(ignored.iter().all(|path| !path.contains(['*', '?', '!', '['])), "only names are known here");
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(repository());
    let files = run(&mut git);
    for file in files.split('\0').filter(|file| !file.is_empty() && repository().join(file).exists()) {
        let is_ignored = |path: &&str| Path::new(file).starts_with(path);
        if !ignored.iter().any(is_ignored) {
            let to = context.join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(repository().join(file), to).unwrap();
        }
    }
    // Every target that Cargo.toml names must be there, or cargo does not even begin.
    let mut metadata = Command::new(env!("CARGO"));
    metadata.args(["metadata", "--offline", "--locked", "--no-deps", "--format-version", "1"]);
    run(metadata.current_dir(context));
}

/// The first stage, on this machine. In words, which program came of it.
fn build_program(stage: &Stage, context: &Path, root: &Path) -> String {
    assert!(stage.base.starts_with("rust:"), "{}", stage.base);
    let version = format!("rust:{}-bookworm", env!("CARGO_PKG_RUST_VERSION"));
    assert_eq!(stage.base, version, "the image of Rust has the version that Cargo.toml asks for");
    let [Step::Workdir(directory), Step::Copy { from: None, sources, .. }, Step::Run(line)] =
        &stage.steps[..]
    else {
        panic!("{:?}", stage.steps)
    };
    assert_eq!(sources, &["."]);
    let strip = line.strip_prefix(BUILD).and_then(|rest| rest.strip_prefix(" && "));
    let strip = strip.unwrap_or_else(|| panic!("`{line}` does not begin with `{BUILD}`"));
    let directory = root.join(directory.trim_start_matches('/'));
    fs::create_dir_all(directory.parent().unwrap()).unwrap();
    run(Command::new("cp").arg("-a").arg(context).arg(&directory));
    let built = Path::new(env!("CARGO_BIN_EXE_forebay"));
    let told = if std::env::var("FOREBAY_CONTAINER").is_ok_and(|value| value == "full") {
        // Crates that are built for a release already need not be built again.
        std::os::unix::fs::symlink(built.ancestors().nth(2).unwrap(), directory.join("target")).unwrap();
        let mut cargo = Command::new("sh");
        cargo.args(["-c", BUILD]).env_remove("CARGO_TARGET_DIR").current_dir(&directory);
        run(&mut cargo);
        "built by the line of the Dockerfile".into()
    } else {
        let given = std::env::var_os("FOREBAY_BIN").map(PathBuf::from);
        let target = directory.join("target/release");
        fs::create_dir_all(&target).unwrap();
        std::os::unix::fs::symlink(given.as_deref().unwrap_or(built), target.join("forebay")).unwrap();
        given.map_or_else(
            || "a build for tests, which is larger and slower".to_owned(),
            |path| format!("{}, as FOREBAY_BIN says", path.display()),
        )
    };
    let line = strip.replace(" /forebay ", &format!(" {} ", root.join("forebay").display()));
    assert_ne!(line, strip, "the program is left at /forebay");
    run(Command::new("sh").args(["-ec", &line]).current_dir(&directory));
    told
}

/// The second stage, in Debian.
fn build_root(stage: &Stage, root: &Path) {
    assert_eq!(stage.base, "debian:bookworm-slim");
    let mut directory = "/".to_owned();
    for step in &stage.steps {
        match step {
            Step::Workdir(path) => {
                fs::create_dir_all(root.join(path.trim_start_matches('/'))).unwrap();
                directory.clone_from(path);
            }
            Step::Run(line) => drop(run(&mut within(root, &directory, line))),
            other => panic!("{other:?} is not known in this stage"),
        }
    }
}

/// A step of the last stage.
fn carry_out(step: &Step, folder: &Path, image: &mut Image) {
    let path = |path: &str| image.root.join(path.trim_start_matches('/'));
    match step {
        Step::Copy { from, owner, sources, target } => {
            let from = folder.join(from.as_deref().unwrap_or("context"));
            copy(&from, sources, &path(target), target.ends_with('/'), owner.as_deref());
        }
        Step::Env(key, value) => image.env.push((key.clone(), value.clone())),
        Step::Label(key, value) => drop(image.labels.insert(key.clone(), value.clone())),
        Step::User(user) => {
            let (user, group) = user.split_once(':').unwrap();
            // Numbers, so that Kubernetes can see that it is not root.
            image.user = (user.parse().unwrap(), group.parse().unwrap());
        }
        Step::Workdir(directory) => image.directory.clone_from(directory),
        Step::Volume(volume) => image.volumes.push(volume.clone()),
        Step::Expose(port) => image.ports.push(*port),
        Step::StopSignal(signal) => image.stop_signal.clone_from(signal),
        Step::Healthcheck { command, .. } => image.health.clone_from(command),
        Step::Entrypoint(words) => image.entrypoint.clone_from(words),
        Step::Cmd(words) => image.command.clone_from(words),
        Step::Run(line) => panic!("there is no shell for `{line}`"),
    }
}

/// Of folders what is in them; everything is root's, unless it is said otherwise.
fn copy(from: &Path, sources: &[String], target: &Path, into: bool, owner: Option<&str>) {
    let cp = |from: &Path, to: &Path| {
        run(Command::new("cp").args(["-a", "--no-preserve=ownership"]).arg(from).arg(to));
    };
    for source in sources {
        let source = from.join(source.trim_start_matches('/'));
        if source.is_dir() {
            fs::create_dir_all(target).unwrap();
            cp(&source.join("."), target);
        } else if into {
            fs::create_dir_all(target).unwrap();
            cp(&source, target);
        } else {
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            cp(&source, target);
        }
    }
    if let Some(owner) = owner {
        run(Command::new("chown").args(["-R", owner]).arg(target));
    }
}
