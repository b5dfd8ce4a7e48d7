//! Two networks of their own with a link between them, which can be cut: packets then vanish, and no end is told.

use super::backends::Place;
use super::process::{Process, eventually, quiet, told};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::Command;

pub(crate) struct Link {
    near: Process,
    far: Process,
}

impl Link {
    /// Runs `work` in a network of its own, with what it starts; receivers are at the other end of the link.
    #[track_caller]
    pub(crate) fn within(test: &str, folder: &Path, work: impl FnOnce(&Self) + Send) {
        let link = match Self::new(folder) {
            Ok(link) => link,
            Err(why) => return println!("SKIP {test}: {why}"),
        };
        within(link.near.id(), || work(&link));
    }

    fn new(folder: &Path) -> Result<Self, String> {
        if !rustix::process::geteuid().is_root() {
            return Err("a network of its own needs root".into());
        }
        for program in ["unshare", "nsenter", "ip"] {
            if Command::new(program).arg("--version").output().is_err() {
                return Err(format!("{program} is not installed"));
            }
        }
        let link = Self { near: network(folder)?, far: network(folder)? };
        let (near, far) = (link.near.id(), link.far.id());
        ip(near, &format!("link add near type veth peer name far netns {far}"))?;
        for (network, name, address) in [(near, "near", NEAR), (far, "far", FAR)] {
            ip(network, "link set lo up")?;
            ip(network, &format!("addr add {address}/24 dev {name}"))?;
            ip(network, &format!("link set {name} up"))?;
        }
        Ok(link)
    }

    /// Where receivers are.
    pub(crate) fn place(&self) -> Place {
        Place { address: FAR, network: Some(self.far.id()) }
    }

    /// Runs `work` in the network of receivers; threads that it starts stay there.
    pub(crate) fn there<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        within(self.far.id(), work)
    }

    pub(crate) fn cut(&self) {
        ip(self.far.id(), "link set far down").unwrap();
    }

    pub(crate) fn mend(&self) {
        ip(self.far.id(), "link set far up").unwrap();
    }
}

const NEAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// Runs `work` on a thread of its own in the network of a process.
fn within<T: Send>(of: u32, work: impl FnOnce() -> T + Send) -> T {
    let network = fs::File::open(format!("/proc/{of}/ns/net")).unwrap();
    std::thread::scope(|scope| {
        let work = scope.spawn(|| {
            move_into_link_name_space(network.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        work.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A process in a network of its own.
fn network(folder: &Path) -> Result<Process, String> {
    let mut command = Command::new("unshare");
    command.args(["--net", "sleep", "3600"]);
    let mut holder = Process::start(quiet(command, folder));
    let of = |id: &str| fs::read_link(format!("/proc/{id}/ns/net")).ok();
    let id = holder.id().to_string();
    let mut is_apart = false;
    eventually("the network is there or cannot be", || {
        is_apart = of(&id).is_some_and(|network| Some(network) != of("self"));
        is_apart || !holder.is_running()
    });
    if is_apart { Ok(holder) } else { Err(format!("no network of its own: {}", told(folder))) }
}

/// `ip` with these words, in the network of a process.
fn ip(of: u32, words: &str) -> Result<(), String> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/proc/{of}/ns/net")).args(["--", "ip"]).args(words.split(' '));
    let output = command.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(()) } else { Err(format!("ip {words}: {said}")) }
}
