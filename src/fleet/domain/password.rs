//! Hosts that have a password: each signs in as its machine, or all as one account, and fetches its tickets anew with
//! each connection, for the crate that shakes hands keeps none.
//!
//! Must not know: HTTP.

use super::{DomainSettings, Scheme};
use crate::auth::sspi::{
    Centre, CentreSettings, Identity, IdentityError, Initiating, Initiator, Server, Way,
};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// A password, whose it is, and who knows it.
#[derive(Clone)]
pub struct PasswordSettings {
    /// Whom all hosts sign in as; each is its own machine without.
    pub user: Option<String>,
    pub password: Zeroizing<String>,
    /// Key distribution centres of the realm; with `Negotiate` and none of them it is NTLM.
    pub centres: Vec<Server>,
}

impl fmt::Debug for PasswordSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { user, centres, .. } = self;
        f.debug_struct("PasswordSettings")
            .field("user", user)
            .field("centres", centres)
            .finish_non_exhaustive()
    }
}

/// What all hosts prove themselves with.
pub(super) struct Password {
    settings: PasswordSettings,
    realm: String,
    way: Way,
}

impl Password {
    pub(super) fn new(password: &PasswordSettings, settings: &DomainSettings) -> Self {
        let realm = settings.realm.clone();
        let centre = || Arc::new(Centre::new(CentreSettings::new(&realm, password.centres.clone())));
        let way = match settings.scheme {
            Scheme::Kerberos => Way::Kerberos(centre()),
            Scheme::Negotiate if password.centres.is_empty() => Way::NegotiateNtlm,
            Scheme::Negotiate => Way::Negotiate(centre()),
            Scheme::Ntlm => Way::Ntlm,
        };
        Self { settings: password.clone(), realm, way }
    }

    /// A handshake of the machine with this account.
    pub(super) fn context(&self, account: &str, service: &str) -> Result<Initiating, IdentityError> {
        let user = self.settings.user.as_deref().unwrap_or(account);
        let identity = Identity::password(user, &self.realm, &self.settings.password)?;
        Initiator::new(identity, self.way.clone(), account.trim_end_matches('$'))?.context(service)
    }
}
