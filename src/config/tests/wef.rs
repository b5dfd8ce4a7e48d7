//! Mistakes in a source of forwarded events, its subscriptions and their queries.

use super::*;

#[test]
fn a_mistake_in_a_query_list_of_a_source_is_marked_in_its_line() {
    let source = "[source.x.evtx]\npath = 'x'\nfilter.query = '''\n<QueryList><Query Path='S'>\n<Select>*[Sytem[EventID==1]]</Select></Query></QueryList>'''\n";
    told(
        &format!("[basin.disk]\npath = '/b'\n{source}"),
        "
error: p.toml:7:24: filter.query, Query 1, Select 1: at byte 51: `==` is not XPath
  |
7 | <Select>*[Sytem[EventID==1]]</Select></Query></QueryList>'''
  |                        ^^
  = write `=`",
    );
}

#[track_caller]
fn told_of_wef(text: &str, expected: &str) {
    assert_eq!(checked(&[&format!("{WEF}{text}")]).told().trim_end(), expected.trim());
}

#[test]
fn a_subscription_may_stand_in_a_file_beside_the_pipeline_with_its_query_in_another() {
    told_of_wef("subscriptions = 'subs/*.toml'\n", "");
    told_of_wef(
        "subscriptions = ['none/*.toml', 'x']\n",
        "
warning: p.toml:8:17: `none/*.toml` names no file
  |
8 | subscriptions = ['none/*.toml', 'x']
  |                 ^^^^^^^^^^^^^^^^^^^^
  = a path is taken from the folder in which forebay is started

error: p.toml:8:17: `x` is no pattern of files
  |
8 | subscriptions = ['none/*.toml', 'x']
  |                 ^^^^^^^^^^^^^^^^^^^^",
    );
    told_of_wef(
        "subscriptions = 'subs/*.toml'\nsubscription.logons.query.channels.Security = 4624\n",
        "
error: subs/logons.toml:1:1: `source.dc.wef.subscription.logons` is defined twice
  |
1 | query.file = 'subs/logons.xml'
  | ^
  = a file is a subscription of its own name; rename or remove one of them",
    );
}

#[test]
fn what_is_wrong_in_a_file_beside_is_told_where_it_stands() {
    told_of_wef(
        "subscriptions = 'wrong/*.toml'\n",
        "
error: wrong/unknown.toml:2:1: unknown key `max_tme` in `source.dc.wef.subscription.unknown`
  |
2 | max_tme = '1m'
  | ^^^^^^^
  = did you mean `max_time`? known here: `query`, `id`, `uri`, `enabled_for`, `preset`, `max_time`, `heartbeat`, `max_elements`, `max_envelope`, `oversize`, `format`, `locale`, `data_locale`, `read_existing`, `compression`, `retry`, `expires`, `own_channels`

error: wrong/xml.toml:1:14: `nowhere.xml` cannot be read: not there
  |
1 | query.file = 'nowhere.xml'
  |              ^^^^^^^^^^^^^

error: wrong/typo.toml:3:36: `]` is missing at the end
  |
3 | xpath.System = '*[System[EventID=1]'
  |                                    ^",
    );
}

#[test]
fn what_is_wrong_in_a_subscription_is_told_at_its_key() {
    told_of_wef(
        "[source.dc.wef.subscription.'Domain controllers']\nquery.channels = { Secruity = 4624 }\nmax_elements = 0\n",
        "
error: p.toml:10:16: batches of at most 0 events
   |
10 | max_elements = 0
   |                ^
  = leave the limit out, or say 1 or more

warning: p.toml:9:31: `Secruity` is no channel that Windows has, and hosts skip it without a word
  |
9 | query.channels = { Secruity = 4624 }
  |                               ^^^^
  = did you mean `Security`? if not, list it in `own_channels`",
    );
}

#[test]
fn a_source_that_diverts_needs_a_dead_letter_in_each_output() {
    let query = "[source.dc.wef.subscription.s]\nquery.channels = { System = '*' }\n";
    let strict = format!("{WEF}trust = 'strict'\n{query}");
    let told = checked(&[&strict]).told();
    assert!(told.contains("error: p.toml:3:1: there is no dead letter"), "{told}");
    let strict = strict.replace("[output.o]", "[output.o]\ndead_letter.path = 'dead'");
    assert!(!checked(&[&strict]).told().contains("error"), "{}", checked(&[&strict]).told());
}
