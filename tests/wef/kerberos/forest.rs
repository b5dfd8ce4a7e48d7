//! A forest: machines of a realm that ours trusts, with tickets of ours.

use super::*;
use crate::kerberos::fleet::{self, Machines};
use crate::support::lab::{BRANCH, REALM};
use std::collections::BTreeSet;

#[test]
fn a_machine_of_a_trusted_realm_comes_in_and_is_not_that_of_the_same_name_in_ours() {
    const TEST: &str = "a_machine_of_a_trusted_realm_comes_in_and_is_not_that_of_the_same_name_in_ours";
    let (Some((lab, _)), Some(python)) = (lab(TEST), python(TEST)) else { return };
    let branch = lab.trusted();
    let setting = Setting::new(PLAIN, &lab.keytab(&[LOCALHOST]));
    let own = lab.client();
    let name = own.principal.split('@').next().unwrap();
    let foreign = branch.named_client(name, &[]);
    assert_eq!(foreign.principal, format!("{name}@{BRANCH}"));
    // The same records of both: they are machines of their own, so none is one that was there before.
    for client in [&own, &foreign] {
        for (record, scheme) in [(1, "pypsrp-kerberos"), (2, "pypsrp-negotiate")] {
            setting.deliver(&python, client, scheme, record);
        }
    }
    let held = String::from_utf8(foreign.command("klist").output().unwrap().stdout).unwrap();
    assert!(held.contains(&format!("krbtgt/{REALM}@{BRANCH}")) && held.contains(LOCALHOST), "{held}");
    let rows = ["hosts", "pipeline.toml", "-o", "json"];
    let rows = forebay(setting.site.path(), &rows).stdout(Stdio::piped()).output().unwrap().stdout;
    let rows: Vec<Value> = serde_json::from_slice(&rows).unwrap();
    let keys: BTreeSet<&str> = rows.iter().filter_map(|row| row["host"].as_str()).collect();
    let expected = [&own, &foreign].map(machine);
    assert_eq!(keys, expected.iter().map(String::as_str).collect(), "{rows:?}");

    let machines = Machines::new(&branch, 2);
    let url = format!("http://localhost:{}{WEC}", setting.site.port);
    let more = ["-n", "2", "--events", "40", "--batch", "5", "--service", LOCALHOST];
    let (code, report) = fleet::told(&mut machines.fleet(&branch, &url, &more));
    assert_eq!((code, &report["acknowledged"]), (Some(0), &40.into()), "{report}");
    assert_eq!(findings(&told(setting.site.path())), [""; 0]);
}
