//! Whatever stands in a basin's files, opening, listing, verifying and reading it ends, and takes
//! memory bounded by the files. The input is the segment; its last bytes say what else is damaged.
#![no_main]

use forebay::basin::{Basin, BasinConfig, Budget, DiskConfig, Full, OutputSpec, Start, inspect, verify};
use forebay::units::ByteSize;
use libfuzzer_sys::fuzz_target;
use std::fs;

fuzz_target!(|data: &[u8]| {
    let Some((which, bytes)) = data.split_first() else { return };
    let root = std::env::temp_dir().join(format!("forebay-fuzz-{}", std::process::id()));
    let _ = fs::remove_dir_all(&root);
    for folder in ["segments", "cursors"] {
        fs::create_dir_all(root.join(folder)).expect("the temporary folder is writable");
    }
    let target = match which % 5 {
        0 => "segments/000000000001.seg",
        1 => "cursors/a",
        2 => "state.0",
        3 => "basin",
        _ => "segments/000000000002.seg",
    };
    fs::write(root.join(target), bytes).expect("the temporary folder is writable");
    let disk = DiskConfig { segment_size: ByteSize::kib(256), size_max: ByteSize::mib(1), ..DiskConfig::new(&root) };
    let config = BasinConfig { disk: Some(disk), memory: None };
    let output = OutputSpec { name: "a".into(), start: Start::Oldest, full: Full::Wait };
    let _ = (inspect(&root), verify(&root));
    let Ok((basin, _)) = Basin::open(&config, &[output], &Budget::new(ByteSize::mib(1))) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let mut reader = basin.reader("a").expect("it was named");
        basin.finish();
        while let Some(delivery) = reader.next().await {
            reader.cursor().confirm(delivery.position, Default::default());
        }
        basin.close().await;
    });
});
