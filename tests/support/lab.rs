//! A Kerberos lab: a key distribution centre of MIT, without privileges, on a high port of the loopback, with
//! everything in a folder of its own.
//!
//! Tests share the one that runs, and the last of them to end stops it. So whatever a test changes must be its
//! own: `service` and `client` make names that nobody else has. Clients in other processes find the centre by
//! `command`; the library within a test reads the machine's `krb5.conf`, so it is given tickets in caches.

use super::process::{PATIENCE, Process, free_port, quiet};
use forebay::kerberos::Etype;
use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;
use tempfile::TempDir;

pub(crate) const REALM: &str = "FOREBAY.TEST";
/// One that the realm trusts, of which a test has its own centre.
pub(crate) const BRANCH: &str = "BRANCH.TEST";

/// The service of whoever listens on this machine. Its keys stay as they are, for all tests share them.
pub(crate) const LOCALHOST: &str = "HTTP/localhost@FOREBAY.TEST";

/// Encryption types as the tools call them.
pub(crate) const AES256: &str = "aes256-cts-hmac-sha1-96";
pub(crate) const AES128: &str = "aes128-cts-hmac-sha1-96";
pub(crate) const AES256_SHA2: &str = "aes256-cts-hmac-sha384-192";
pub(crate) const RC4: &str = "arcfour-hmac";

/// A running centre.
pub(crate) struct Lab {
    folder: TempDir,
    realm: &'static str,
    port: u16,
    /// Stops with the lab.
    _centre: Process,
    names: AtomicU32,
    trusted: OnceLock<Arc<Lab>>,
}

/// A machine with tickets, whichever centre it has them from.
pub(crate) trait Member {
    /// As `WIN1$@FOREBAY.TEST`.
    fn principal(&self) -> &str;

    /// A program that uses the tickets.
    fn command(&self, program: &str) -> Command;
}

/// A machine that has proved itself to the centre.
pub(crate) struct Client {
    /// As `WIN1$@FOREBAY.TEST`.
    pub(crate) principal: String,
    pub(crate) keytab: PathBuf,
    cache: PathBuf,
    configuration: PathBuf,
    lab: Arc<Lab>,
}

static RUNNING: Mutex<Weak<Lab>> = Mutex::new(Weak::new());

impl Lab {
    /// The lab, or a word on why the test is skipped.
    pub(crate) fn start(test: &str) -> Option<Arc<Self>> {
        for program in ["krb5kdc", "kdb5_util", "kadmin.local", "kinit", "kvno"] {
            if find(program).is_none() {
                println!("SKIP {test}: {program} is not installed");
                return None;
            }
        }
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lab) = running.upgrade() {
            return Some(lab);
        }
        let lab = Arc::new(Self::new(REALM, None));
        *running = Arc::downgrade(&lab);
        Some(lab)
    }

    /// A centre of another realm, whose members get tickets of this one.
    pub(crate) fn trusted(&self) -> Arc<Self> {
        let start = || {
            let branch = Self::new(BRANCH, Some(self.port));
            // A key that both have, of one version.
            let shared = format!("addprinc -pw throw-away -e {AES256}:normal krbtgt/{REALM}@{BRANCH}\n");
            self.administer(&shared);
            branch.administer(&shared);
            Arc::new(branch)
        };
        self.trusted.get_or_init(start).clone()
    }

    /// `trusting` is the port of the other realm's centre.
    fn new(realm: &'static str, trusting: Option<u16>) -> Self {
        let folder = TempDir::with_prefix("forebay-lab-").unwrap();
        let port = free_port();
        write_configuration(folder.path(), realm, port, trusting);
        let created =
            command(folder.path(), "kdb5_util").args(["create", "-s", "-P", "throw-away"]).output().unwrap();
        assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
        // Its own key is of one type; tickets for it may have session keys of all of them.
        let all = format!("{AES256} {AES128} {AES256_SHA2} {RC4}");
        administer(folder.path(), &format!("setstr krbtgt/{realm} session_enctypes \"{all}\"\n"));
        if realm == REALM {
            administer(folder.path(), &format!("addprinc -randkey {LOCALHOST}\n"));
        }
        let mut centre = command(folder.path(), "krb5kdc");
        centre.arg("-n");
        let centre = Process::start(quiet(centre, folder.path()));
        let lab =
            Self { folder, realm, port, _centre: centre, names: AtomicU32::new(0), trusted: OnceLock::new() };
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", lab.port())).is_err() {
            let log = fs::read_to_string(lab.folder().join("kdc.log")).unwrap_or_default();
            assert!(start.elapsed() < PATIENCE, "the centre does not answer: {log}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        lab
    }

    pub(crate) fn realm(&self) -> &'static str {
        self.realm
    }

    /// Where the centre listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A program that finds the centre.
    pub(crate) fn command(&self, program: &str) -> Command {
        command(self.folder(), program)
    }

    /// A path in the lab that nobody has.
    pub(crate) fn fresh(&self, name: &str) -> PathBuf {
        self.folder().join(format!("{name}-{}", self.names.fetch_add(1, Ordering::Relaxed)))
    }

    /// What the administrator of the database types.
    pub(crate) fn administer(&self, lines: &str) {
        administer(self.folder(), lines);
    }

    /// A service with keys of these types, as `HTTP/wec3.forebay.test@FOREBAY.TEST`.
    pub(crate) fn service(&self, etypes: &[&str]) -> String {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        self.named_service(&format!("HTTP/wec{number}.forebay.test"), etypes)
    }

    pub(crate) fn named_service(&self, name: &str, etypes: &[&str]) -> String {
        let types: Vec<String> = etypes.iter().map(|etype| format!("{etype}:normal")).collect();
        self.administer(&format!("addprinc -randkey -e {} {name}\n", types.join(",")));
        format!("{name}@{}", self.realm)
    }

    /// The keys that these principals have now.
    pub(crate) fn keytab(&self, principals: &[&str]) -> PathBuf {
        let path = self.fresh("keytab");
        self.administer(&format!("ktadd -norandkey -k {} {}\n", path.display(), principals.join(" ")));
        path
    }

    /// A new key of the next version.
    pub(crate) fn change_key(&self, principal: &str) {
        self.administer(&format!("cpw -randkey -keepold {principal}\n"));
    }

    /// A machine of its own.
    pub(crate) fn client(self: &Arc<Self>) -> Client {
        self.client_with(&[])
    }

    /// A machine of its own that takes no other encryption types than these.
    pub(crate) fn client_with(self: &Arc<Self>, etypes: &[Etype]) -> Client {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        self.named_client(&format!("WIN{number}$"), etypes)
    }

    pub(crate) fn named_client(self: &Arc<Self>, name: &str, etypes: &[Etype]) -> Client {
        let keytab = self.fresh("keytab");
        let file = keytab.display();
        self.administer(&format!("addprinc -randkey {name}\nktadd -norandkey -k {file} {name}\n"));
        let (principal, cache) = (format!("{name}@{}", self.realm), self.fresh("tickets"));
        let client =
            Client { principal, keytab, cache, configuration: self.restricted(etypes), lab: self.clone() };
        client.prove("10h");
        client
    }

    /// The configuration of somebody who takes no other encryption types than these; none are all.
    fn restricted(&self, etypes: &[Etype]) -> PathBuf {
        let everybody = self.folder().join("krb5.conf");
        if etypes.is_empty() {
            return everybody;
        }
        let names: Vec<String> = etypes.iter().map(ToString::to_string).collect();
        self.configured(&format!("permitted_enctypes = {}", names.join(" ")))
    }

    /// The configuration of everybody with one more default.
    pub(crate) fn configured(&self, line: &str) -> PathBuf {
        let text = fs::read_to_string(self.folder().join("krb5.conf")).unwrap();
        let path = self.fresh("krb5.conf");
        fs::write(&path, text.replacen("[libdefaults]\n", &format!("[libdefaults]\n {line}\n"), 1)).unwrap();
        path
    }
}

impl Client {
    pub(crate) fn cache_name(&self) -> String {
        format!("FILE:{}", self.cache.display())
    }

    /// Proves itself to the centre, for so long; tickets that it had are gone.
    pub(crate) fn prove(&self, lifetime: &str) {
        run(self.command("kinit").args(["-l", lifetime, "-k", "-t"]).arg(&self.keytab).arg(&self.principal));
    }

    /// Fetches a ticket into the cache.
    pub(crate) fn ticket(&self, service: &str) {
        run(self.command("kvno").args(["-q", service]));
    }

    /// A program that uses the cache.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = self.lab.command(program);
        command.env("KRB5CCNAME", self.cache_name()).env("KRB5_CONFIG", &self.configuration);
        command
    }
}

impl Member for Client {
    fn principal(&self) -> &str {
        &self.principal
    }

    fn command(&self, program: &str) -> Command {
        Self::command(self, program)
    }
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn administer(folder: &Path, lines: &str) {
    let mut child = command(folder, "kadmin.local")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    // It ends with 0 whatever happened; a new principal without a policy is worth a remark to it.
    let troubles: Vec<&str> = told.lines().filter(|line| !line.starts_with("No policy spec")).collect();
    assert!(output.status.success() && troubles.is_empty(), "{lines}\n{troubles:#?}");
}

/// Programs of administrators are not in everybody's path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/usr/lib/mit/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn command(folder: &Path, program: &str) -> Command {
    let mut command = Command::new(find(program).unwrap_or_else(|| program.into()));
    command
        .current_dir(folder)
        .env("KRB5_CONFIG", folder.join("krb5.conf"))
        .env("KRB5_KDC_PROFILE", folder.join("kdc.conf"))
        .env("KRB5CCNAME", format!("FILE:{}", folder.join("nobody").display()))
        .env("LC_ALL", "C");
    command
}

/// `trusting` is the port of the centre of the realm that has the services, where it is another.
fn write_configuration(folder: &Path, realm: &str, port: u16, trusting: Option<u16>) {
    let at = folder.display();
    let centre = format!(
        "[kdcdefaults]\n host_based_services = HTTP\n kdc_listen = 127.0.0.1:{port}\n kdc_tcp_listen = 127.0.0.1:{port}\n\
         [realms]\n {realm} = {{\n  database_name = {at}/principal\n  acl_file = {at}/nobody.acl\n  \
         key_stash_file = {at}/stash\n  max_life = 10h\n  \
         supported_enctypes = {AES256}:normal {AES128}:normal {AES256_SHA2}:normal {RC4}:normal\n }}\n\
         [logging]\n kdc = FILE:{at}/kdc.log\n admin_server = FILE:{at}/kadmin.log\n"
    );
    let found = |realm: &str, port: u16| format!(" {realm} = {{\n  kdc = 127.0.0.1:{port}\n }}\n");
    let realms = found(realm, port) + &trusting.map(|port| found(REALM, port)).unwrap_or_default();
    let everybody = format!(
        "[libdefaults]\n default_realm = {realm}\n dns_lookup_kdc = false\n dns_lookup_realm = false\n \
         dns_canonicalize_hostname = false\n rdns = false\n udp_preference_limit = 1\n \
         allow_rc4 = true\n\
         [realms]\n{realms}\
         [domain_realm]\n localhost = {REALM}\n .forebay.test = {REALM}\n"
    );
    fs::write(folder.join("kdc.conf"), centre).unwrap();
    fs::write(folder.join("krb5.conf"), everybody).unwrap();
}
