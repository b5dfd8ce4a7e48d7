//! Who asks: by its certificate, by the ticket that its connection has, or by what a request shows.
//!
//! Must not know: bodies, answers.

use super::refused::Refused;
use super::{Caller, Connection, Service};
use crate::auth::Principal;
use crate::auth::basic::Denied;
use crate::source::wef::http::Head;
use crate::source::wef::request;
use crate::source::wef::session::Peer;
use std::sync::{Arc, PoisonError};

impl<S: Service> Connection<'_, S> {
    pub(super) async fn sign_in(&self, head: &Head, authority: &str) -> Result<Arc<Peer>, Refused> {
        if let Some(identity) = &self.caller.identity {
            // It may have been revoked since, or ended.
            let looked = self.site.tls.as_ref().map_or(Ok(()), |tls| tls.look_again(identity));
            looked.map_err(Refused::Void)?;
            return Ok(self.peer(Some(&identity.principal), authority));
        }
        let authorization = head.first("authorization");
        if let Some(tickets) = &self.site.tickets {
            if let Some((scheme, token)) = authorization.and_then(request::token) {
                let principal = self.shake(tickets, scheme, token).await?;
                return Ok(self.peer(Some(&principal), authority));
            }
            if authorization.is_none()
                && let Some(principal) = self.ticket.principal()
            {
                return Ok(self.peer(Some(&principal), authority));
            }
        }
        let Some(authorization) = authorization else {
            let asks_who_we_are = head.first("wsmanidentify") == Some(b"unauthenticated");
            return match asks_who_we_are {
                true => Ok(self.peer(None, authority)),
                false => Err(Refused::Unknown { why: "" }),
            };
        };
        let Some(passwords) = &self.site.passwords else {
            return Err(Refused::Unknown { why: "passwords are not taken here" });
        };
        let Some(credentials) = request::credentials(authorization) else {
            return Err(Refused::Unknown { why: "what it sent is no user and password" });
        };
        let signed_in = passwords.sign_in(&credentials.user, &credentials.password, self.caller.address);
        match signed_in.await {
            Ok(principal) => Ok(self.peer(Some(&principal), authority)),
            Err(Denied::Wrong) => Err(Refused::Unknown { why: "no such user, or not its password" }),
            Err(Denied::TooOften { wait }) => Err(Refused::TooOften { wait }),
            Err(Denied::Busy) => Err(Refused::Busy),
        }
    }

    /// The peer of a request; that of the last one where nothing has changed.
    fn peer(&self, principal: Option<&Principal>, authority: &str) -> Arc<Peer> {
        let mut last = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
        if last.principal.as_ref() != principal || *last.authority != *authority {
            let Caller { address, is_tls, .. } = self.caller;
            *last = Arc::new(Peer {
                principal: principal.cloned(),
                address,
                is_tls,
                authority: authority.into(),
            });
        }
        Arc::clone(&last)
    }
}

/// The peer before its first request.
pub(super) fn first(caller: &Caller) -> Arc<Peer> {
    let Caller { address, is_tls, identity, .. } = caller;
    let principal = identity.as_ref().map(|identity| identity.principal.clone());
    Arc::new(Peer { principal, address: *address, is_tls: *is_tls, authority: "".into() })
}
