//! Kafka in the crash matrix: Tansu, whose log is kept in S3 over its end.

use super::reading;
use crate::outputs::crash::{ALL, Fault, Twice, against};
use crate::outputs::scene::Receiver;
use crate::support::backends::{Place, S3, Store, Tansu};
use std::fs;
use std::path::Path;

struct Broker {
    _s3: S3,
    place: Place,
    tansu: Tansu,
    is_idempotent: bool,
}

impl Receiver for Broker {
    fn output(&self) -> String {
        let Self { place, tansu, is_idempotent, .. } = self;
        format!(
            "format.json = {{}}\nsink.kafka = {{ brokers = ['{}:{}'], topic = 'windows', \
             idempotent = {is_idempotent}, properties = {{ 'socket.timeout.ms' = 1500, 'socket.connection.setup.timeout.ms' = 1000 }} }}\n",
            place.address, tansu.port
        )
    }

    fn kill(&mut self) {
        self.tansu.kill();
    }

    fn restart(&mut self) {
        self.tansu.restart();
    }

    fn freeze(&self) {
        self.tansu.process.freeze();
    }

    fn thaw(&self) {
        self.tansu.process.thaw();
    }

    fn dump(&self, to: &Path) {
        let messages = reading::at(self.place.address, self.tansu.port, "windows");
        let lines: Vec<u8> =
            messages.iter().flat_map(|message| [&message.payload[..], b"\n"].concat()).collect();
        fs::write(to, lines).unwrap();
    }
}

#[test]
fn nothing_acknowledged_is_lost_between_here_and_kafka() {
    const TEST: &str = "nothing_acknowledged_is_lost_between_here_and_kafka";
    against(TEST, &ALL, Twice::Kept, |around| {
        let place = around.link.place();
        let s3 = S3::start(TEST, around.folder, place, "tansu")?;
        let tansu = Tansu::start(TEST, around.folder, place, Store::S3(s3.address))?;
        // This broker knows a message's number before it has the message, and loses what it is killed in between:
        // sent again with the same number it is told to be there. Apache Kafka has both in one log.
        let is_idempotent = !matches!(around.fault, Fault::Theirs | Fault::Both);
        Some(Box::new(Broker { _s3: s3, place, tansu, is_idempotent }))
    });
}
