//! Members of a domain of Samba, whose controller chooses types of keys as Active Directory does, and of another realm
//! beside them.

use super::*;
use crate::support::domain::Domain;
use crate::support::lab::Client;

/// A member of another realm, in the network of this one, with a ticket that it has.
struct Foreign<'d>(&'d Domain, Client);

impl Member for Foreign<'_> {
    fn principal(&self) -> &str {
        &self.1.principal
    }

    fn command(&self, program: &str) -> Command {
        let mut command = self.0.command(program);
        let own = self.1.command(program);
        for (key, value) in own.get_envs().filter(|(key, _)| key.to_string_lossy().starts_with("KRB5")) {
            command.env(key, value.unwrap());
        }
        command
    }
}

/// A collector in the network of the domain.
pub(super) fn collector(domain: &Domain, keytab: &Path) -> Setting {
    let site = Site::bare(PLAIN);
    put(keytab, &site);
    site.write(LOGONS, "");
    let mut command = domain.command(env!("CARGO_BIN_EXE_forebay"));
    command.args(["run", "pipeline.toml"]);
    let mut running = Process::start(quiet(command, site.path()));
    eventually("it listens", || {
        assert!(running.is_running(), "{}", told(site.path()));
        told(site.path()).contains("listening for hosts")
    });
    Setting { site, running, http: 0, host: String::new() }
}

#[test]
fn members_of_a_domain_of_samba_come_in_whatever_types_their_controller_chooses() {
    const TEST: &str = "members_of_a_domain_of_samba_come_in_whatever_types_their_controller_chooses";
    let (Some(python), Some((lab, _))) = (python(TEST), lab(TEST)) else { return };
    let Some(domain) = Domain::start(TEST) else { return };
    // Keys of two realms, behind one head.
    let [own, other] =
        [domain.path("services.keytab"), lab.keytab(&[LOCALHOST])].map(|path| fs::read(path).unwrap());
    let keytab = domain.path("both.keytab");
    fs::write(&keytab, [&own[..], &other[2..]].concat()).unwrap();
    let mut setting = collector(&domain, &keytab);
    // Hosts of the fleet are the three before it.
    let machine = domain.machine(3);
    let mut record = 0;
    for (service, session, ticket) in [
        ("aes", "aes256-cts-hmac-sha1-96", "aes256-cts-hmac-sha1-96"),
        ("aes256", "aes256-cts-hmac-sha1-96", "aes256-cts-hmac-sha1-96"),
        ("aes128", "aes128-cts-hmac-sha1-96", "aes128-cts-hmac-sha1-96"),
        ("rc4", "arcfour-hmac", "arcfour-hmac"),
        // What Active Directory does with an account that says nothing.
        ("default", "aes256-cts-hmac-sha1-96", "arcfour-hmac"),
    ] {
        setting.host = format!("{service}.corp.forebay.test");
        let principal = format!("HTTP/{}", setting.host);
        let got = machine.command("kvno").arg(&principal).output().unwrap();
        assert!(got.status.success(), "{service}: {}", String::from_utf8_lossy(&got.stderr));
        let held = String::from_utf8(machine.command("klist").arg("-e").output().unwrap().stdout).unwrap();
        let of_service = held.split(&principal).nth(1).and_then(|held| held.lines().nth(1)).unwrap();
        let types: Vec<&str> = of_service.split(": ").nth(1).unwrap().split(", ").collect();
        let plain = |name: &&str| name.trim().trim_start_matches("DEPRECATED:").to_owned();
        assert_eq!(types.iter().map(plain).collect::<Vec<_>>(), [session, ticket], "{service}");

        let identified = setting.curl(&machine, &host::written(Header::default(), Message::Identify));
        assert!(identified.contains("HTTP/1.1 200 OK"), "{service}: {identified}");
        for name in ["pypsrp-kerberos", "pypsrp-negotiate", "pywinrm"] {
            record += 1;
            setting.deliver(&python, &machine, name, record);
        }
        let url = format!("http://{}:{}{WEC}", setting.host, setting.site.port);
        let mut fleet = domain.command(env!("CARGO_BIN_EXE_forebay"));
        fleet.args(["fleet", &url, "-n", "3", "--events", "60", "--batch", "5", "-o", "json"]);
        fleet.args(["--connect", &format!("127.0.0.1:{}", setting.site.port), "--keytab"]);
        fleet.arg(domain.path("machines.keytab")).args(["--domain", "corp.forebay.test"]);
        let (code, report) = crate::kerberos::fleet::told(&mut fleet);
        assert_eq!((code, &report["acknowledged"]), (Some(0), &60.into()), "{service}: {report}");
    }
    let foreign = Foreign(&domain, lab.client());
    foreign.1.ticket(LOCALHOST);
    setting.host = "localhost".into();
    setting.deliver(&python, &foreign, "pypsrp-kerberos", 1000);
    assert_eq!(findings(&told(setting.site.path())), [""; 0]);
    setting.running.stop();
    assert_eq!(setting.running.code(), Some(0));

    let mut setting = collector(&domain, &domain.path("other.keytab"));
    setting.host = "aes.corp.forebay.test".into();
    let identified = setting.curl(&machine, &host::written(Header::default(), Message::Identify));
    assert!(identified.contains("HTTP/1.1 401 "), "{identified}");
    let told_of = || setting.told_of("HTTP/aes.corp.forebay.test@CORP.FOREBAY.TEST", "setspn -Q");
    eventually("it is told", || told_of() == 1);
}
