//! What a host sends beside its deliveries: what is wrong on purpose, and its goodbye.

use super::{Outcome, Outgoing, Stream, charset_of};
use crate::fleet::dice::Dice;
use crate::fleet::fault;
use crate::fleet::http::Delivery;
use crate::fleet::message::{self, Caller};
use crate::fleet::stranger::Stranger;
use crate::wsman::charset;
use std::sync::Arc;

impl Stream {
    /// Sends what is no message of Windows, where the plan asks for it.
    pub(super) async fn misbehave(&mut self) {
        let faults = self.host.shared.plan.settings.faults;
        if let Some(stranger) = Stranger::beside(&faults, &mut self.dice) {
            self.intrude(stranger).await;
        }
        let Some(fault) = fault::beside(&faults, &mut self.dice) else { return };
        let mut dice = Dice::new(self.dice.roll());
        let mut body =
            |stream: &Self, caller: Caller<'_>| fault::body(fault, &stream.duty.task, caller, &mut dice);
        let verdict = self.attempt(Delivery::Whole, &mut body);
        let answered = match verdict.await {
            Outcome::Acknowledged => {
                self.host.shared.meter.tally(|tally| tally.wrong_acks += 1);
                "acknowledged".to_owned()
            }
            Outcome::Refused => "DeliveryRefused".into(),
            Outcome::Failed(why) => why,
            Outcome::Cut => "cut".into(),
        };
        self.host.shared.meter.fault(&format!("{fault}, answered by {answered}"));
    }

    async fn intrude(&mut self, stranger: Stranger) {
        let [message, operation] = [self.dice.guid(), self.dice.guid()];
        let caller = Caller { machine: &self.host.name, session: self.session, message, operation };
        let request = self.body_of(&self.duty.task.heartbeat(caller));
        let called = stranger.call(self.link.way(), request, charset_of(&self.duty), message);
        let (what, is_mistake) = called.await;
        let meter = &self.host.shared.meter;
        meter.fault(&what);
        meter.tally(|tally| tally.wrong_acks += u64::from(is_mistake));
    }

    /// The host shuts down. The End behind it says SLDC and is plain, as Windows does it.
    pub(super) async fn farewell(&mut self) {
        let [message, operation, end] = [self.dice.guid(), self.dice.guid(), self.dice.guid()];
        let host = Arc::clone(&self.host);
        let caller = Caller { machine: &host.name, session: self.session, message, operation };
        let body = self.body_of(&self.duty.task.subscription_end(caller));
        let (charset, sldc) = (charset_of(&self.duty), self.duty.task.subscription.compressed);
        let said = self.link.exchange(body, charset, sldc, Delivery::Whole).await;
        if said.is_ok_and(|answer| answer.status < 300) {
            let end = message::end(end, operation);
            let body = Outgoing::new(|out| charset::encode(&end, charset, out));
            let _ = self.link.exchange(body, charset, sldc, Delivery::Whole).await;
        }
    }
}
