//! Any text as a query list: no panic, what is read is written and read back the same, and checking it
//! ends.
#![no_main]

use forebay::wsman::QueryList;
use forebay::wsman::check::{check_change, check_query};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(list) = QueryList::parse(text) else { return };
    let mut written = String::new();
    list.write(&mut written);
    assert_eq!(QueryList::parse(&written).as_ref(), Ok(&list), "{written}");
    check_query(&list).iter().for_each(|problem| drop(problem.to_string()));
    assert_eq!(check_change(&list, &list), []);
});
