//! Kerberos on a connection: the handshake, who it proved, and the messages that are sealed from then on.
//!
//! ```text
//! Authorization: Kerberos|Negotiate token ─► 200, WWW-Authenticate: token     the body may be empty, or sealed
//!                                        └─► 401, and the next token, or why not
//! multipart/encrypted ─► opened ─► the answer, sealed in the same framing
//! ```
//! A context belongs to the connection and ends with its ticket: then the host is asked to sign in again.
//! Answers are sealed one after the other, in the order in which they are sent.
//! Must not know: what messages say, why a handshake failed.

use super::refused::Refused;
use super::{Connection, Service};
use crate::auth::Principal;
use crate::auth::gss::Accepting;
use crate::auth::handshake::Established;
use crate::auth::sealing::Sealing;
use crate::auth::tickets::{Denied, Shaken, Tickets};
use crate::source::wef::answers::Reply;
use crate::source::wef::http::Answer;
use crate::source::wef::request::{self, TokenScheme, Unfit};
use crate::wsman::charset::Charset;
use crate::wsman::multipart::{Framing, Part};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a connection has of Kerberos.
#[derive(Default)]
pub(super) struct Ticket(Mutex<State>);

#[derive(Default)]
struct State {
    /// A handshake that waits for another token.
    under_way: Option<Box<Accepting>>,
    session: Option<Box<Session>>,
    /// For the header of the next answer.
    greeting: Option<String>,
}

/// An established context.
struct Session {
    principal: Principal,
    sealing: Sealing,
    ends: Instant,
}

/// A body that was sealed, opened.
pub(super) struct Opened {
    pub(super) body: Bytes,
    pub(super) charset: Option<&'static str>,
    /// How its lines begin: some clients take no answer whose do not.
    pub(super) is_indented: bool,
}

/// Tickets that end later are as good as without end; so a clock cannot overflow.
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 86_400);

impl Ticket {
    /// The header that goes with the next answer.
    pub(super) fn greeting(&self) -> Option<String> {
        self.state().greeting.take()
    }

    /// Who signed in, as long as its ticket counts.
    pub(super) fn principal(&self) -> Option<Principal> {
        let state = self.state();
        let session = state.session.as_ref().filter(|session| Instant::now() < session.ends)?;
        Some(session.principal.clone())
    }

    fn greet(&self, scheme: TokenScheme, token: &[u8]) {
        if !token.is_empty() {
            self.state().greeting = Some(format!("{} {}", scheme.name(), STANDARD.encode(token)));
        }
    }

    /// Opens a body. After a failure the context is gone.
    pub(super) fn open(&self, framing: Framing<'_>, body: Bytes) -> Result<Opened, Unfit> {
        let mut state = self.state();
        let Some(session) = &mut state.session else { return Err(request::sealed_by_none()) };
        let opened = opened(&mut session.sealing, framing, body);
        if opened.is_err() {
            state.session = None;
        }
        opened
    }

    /// The answer to a sealed body. What cannot be sealed is not said.
    pub(super) fn seal(
        &self,
        framing: Framing<'_>,
        is_indented: bool,
        reply: Reply,
    ) -> (Reply, Option<String>) {
        let (Some(body), Some(content_type)) = (&reply.body, reply.content_type) else {
            return (reply, None);
        };
        let mut state = self.state();
        let sealed = state.session.as_mut().map(|session| session.sealing.seal(body));
        let Some(Ok(sealed)) = sealed else {
            return (Reply { close: true, ..Reply::empty(500) }, None);
        };
        let mut out = Vec::with_capacity(sealed.data.len() + FRAME_BYTES);
        let (length, token) = (sealed.data.len(), &*sealed.token);
        framing.write(&[Part { content_type, length, token, sealed: &sealed.data }], is_indented, &mut out);
        (Reply { body: Some(out.into()), ..reply }, Some(framing.to_string()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic amid it leaves a context that opens nothing any more.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Service> Connection<'_, S> {
    /// Takes a token; who it proved, where it was the last.
    pub(super) async fn shake(
        &self,
        tickets: &Tickets,
        scheme: TokenScheme,
        token: Vec<u8>,
    ) -> Result<Principal, Refused> {
        let under_way = {
            let mut state = self.ticket.state();
            // Whoever begins anew has no context meanwhile.
            state.session = None;
            state.under_way.take()
        };
        let shaken = tickets.shake(under_way, token, self.caller.binding.clone()).await;
        match shaken {
            Ok(Shaken::More { token, context }) => {
                self.ticket.greet(scheme, &token);
                self.ticket.state().under_way = Some(context);
                Err(Refused::More)
            }
            Ok(Shaken::Signed { token, principal, established }) => {
                self.ticket.greet(scheme, &token);
                let Established { lifetime, seal, .. } = *established;
                let sealing = Sealing::new(seal)
                    .map_err(|error| self.denied_ticket(tickets, &Denied::other(error.to_string())))?;
                let ends = Instant::now() + lifetime.min(LIFETIME_MAX);
                self.ticket.state().session =
                    Some(Box::new(Session { principal: principal.clone(), sealing, ends }));
                self.site.metrics.tickets.inc();
                Ok(principal)
            }
            Err(denied) => {
                self.ticket.greet(scheme, &denied.token);
                Err(self.denied_ticket(tickets, &denied))
            }
        }
    }

    /// Tells why, and counts it.
    fn denied_ticket(&self, tickets: &Tickets, denied: &Denied) -> Refused {
        let (address, reason) = (self.caller.address, denied.reason());
        self.site.metrics.denied.count(reason);
        let finding = tickets.finding(denied, &address.to_string());
        self.site.service.denied(address, reason, &finding);
        self.site.complaints.tell(address, reason, || finding);
        Refused::Ticket
    }
}

fn opened(sealing: &mut Sealing, framing: Framing<'_>, body: Bytes) -> Result<Opened, Unfit> {
    let unfit = |why: &dyn std::fmt::Display| request::unopened(why);
    // Nobody else has it, so it is not copied.
    let mut body = body.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
    let is_indented = framing.is_indented(&body);
    let parts = framing.read(&body).map_err(|error| unfit(&error))?;
    let [part] = parts[..] else { return Err(unfit(&"it has several parts")) };
    let charset = request::soap(part.content_type)?.and_then(charset_name);
    let (token, declared) = (part.token.to_vec(), part.length);
    // Where the part lies in the body.
    let start = part.sealed.as_ptr().addr() - body.as_ptr().addr();
    let end = start + part.sealed.len();
    let bytes = sealing.open(&token, &mut body[start..end], declared).map_err(|error| unfit(&error))?;
    Ok(Opened { body: body.freeze().slice(start..start + bytes), charset, is_indented })
}

/// The name of a charset that outlives the body.
fn charset_name(name: &str) -> Option<&'static str> {
    Charset::from_name(name).map(|charset| charset.name())
}

/// Adds what was agreed on to an answer.
pub(super) fn greet(answer: &mut Answer, greeting: Option<String>) {
    answer.headers.extend(greeting.map(|greeting| ("www-authenticate", greeting)));
}

/// What a frame adds to the message, with the longest signature.
const FRAME_BYTES: usize = 512;
