//! One life of librdkafka's producer: made of properties and secrets, heard by its own thread, dropped aside.
//!
//! Must not know: batches.

use super::secure::SignIn;
use super::trouble::{Kind, Teller};
use super::window::Answers;
use super::{Config, figures};
use crate::sink::{SinkError, secret};
use rdkafka::ClientContext;
use rdkafka::client::OAuthToken;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel as Level};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{Producer as _, ProducerContext, ThreadedProducer};
use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tracing::{debug, error, warn};

/// Why a new producer is needed.
pub(super) type Fatal = (Code, String);

/// A producer under way.
pub(super) struct Producer {
    pub(super) client: ThreadedProducer<Context>,
}

/// What librdkafka calls back.
pub(super) struct Context {
    teller: Arc<Teller>,
    answers: Arc<Answers>,
    figures: Mutex<figures::Last>,
    token: Option<TokenFile>,
}

/// A token that somebody else keeps fresh.
struct TokenFile {
    path: PathBuf,
    principal: Option<String>,
}

/// Files with secrets that a producer is made with.
pub(super) fn secret_files(config: &Config) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    if let Some(tls) = &config.tls {
        files.extend(tls.ca.iter().cloned());
        files.extend([&tls.certificate, &tls.key, &tls.key_password_file].into_iter().flatten().cloned());
    }
    if let Some(Ok(SignIn::Password { file: Some(file), .. })) =
        config.sasl.as_ref().map(super::secure::Sasl::way)
    {
        files.push(file.clone());
    }
    files
}

/// Whether librdkafka knows these properties and takes these values. Opens nothing.
pub(super) fn check(properties: &BTreeMap<String, String>) -> Result<(), SinkError> {
    let mut config = ClientConfig::new();
    properties.iter().for_each(|(name, value)| {
        config.set(name, value);
    });
    match config.create_native_config() {
        Ok(_) => Ok(()),
        Err(KafkaError::ClientConfig(_, why, name, value)) => {
            let shown = if name.contains("password") { "***" } else { &value };
            let why = format!(
                "`{name}` of `{shown}` is not taken by librdkafka: {why}; its documentation lists all"
            );
            Err(SinkError::Setting { setting: "properties", why })
        }
        Err(error) => Err(SinkError::Setting { setting: "properties", why: error.to_string() }),
    }
}

/// All properties, with the secrets as they are now.
///
/// # Errors
/// Why a secret cannot be read.
pub(super) fn with_secrets(
    config: &Config,
    properties: &BTreeMap<String, String>,
) -> Result<ClientConfig, String> {
    let mut client = ClientConfig::new();
    for (name, value) in properties {
        client.set(name, value);
    }
    if let Some(tls) = &config.tls {
        if !tls.ca.is_empty() {
            let read = |path: &PathBuf| {
                std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
            };
            client.set("ssl.ca.pem", tls.ca.iter().map(read).collect::<Result<Vec<_>, _>>()?.join("\n"));
        }
        if let Some(file) = &tls.key_password_file {
            client.set("ssl.key.password", secret::read(file).map_err(|finding| finding.to_string())?);
        }
    }
    if let Some(Ok(SignIn::Password { file: Some(file), .. })) =
        config.sasl.as_ref().map(super::secure::Sasl::way)
    {
        client.set("sasl.password", secret::read(file).map_err(|finding| finding.to_string())?);
    }
    // What it logs at which level is for our own log to choose.
    client.set_log_level(if properties.contains_key("debug") { Level::Debug } else { Level::Info });
    Ok(client)
}

impl Context {
    pub(super) fn new(config: &Config, teller: &Arc<Teller>, answers: &Arc<Answers>) -> Self {
        let token = config.sasl.as_ref().and_then(|sasl| sasl.oauthbearer.as_ref());
        Self {
            teller: Arc::clone(teller),
            answers: Arc::clone(answers),
            figures: Mutex::default(),
            token: token.map(|token| TokenFile {
                path: token.token_file.clone(),
                principal: token.principal.clone(),
            }),
        }
    }

    /// Whether there is one to sign in with.
    pub(super) fn has_token(&self) -> bool {
        self.token.is_some()
    }
}

impl Producer {
    /// # Errors
    /// What librdkafka says against it.
    pub(super) fn new(client: &ClientConfig, context: Context) -> Result<Self, String> {
        let metrics = context.teller.metrics.clone();
        match client.create_with_context::<_, ThreadedProducer<Context>>(context) {
            Ok(client) => {
                metrics.producers.inc();
                Ok(Self { client })
            }
            Err(KafkaError::ClientCreation(why)) => Err(why),
            Err(KafkaError::ClientConfig(_, why, name, _)) => Err(format!("{name}: {why}")),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Why it cannot go on, if so.
    pub(super) fn fatal(&self) -> Option<Fatal> {
        self.client.client().fatal_error()
    }
}

impl ClientContext for Context {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: Level, facility: &str, message: &str) {
        let output = &*self.teller.output;
        match level {
            Level::Emerg | Level::Alert | Level::Critical => error!(output, facility, message, "librdkafka"),
            // What goes wrong with brokers is told in findings, once and in words that help.
            _ => debug!(output, facility, message, "librdkafka"),
        }
    }

    fn stats_raw(&self, statistics: &[u8]) {
        match figures::Figures::parse(statistics) {
            Ok(figures) => {
                let mut last = self.figures.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                figures.count(&mut last, &self.teller.metrics);
            }
            Err(error) => {
                warn!(output = &*self.teller.output, %error, "statistics of librdkafka cannot be read")
            }
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let kind = error.rdkafka_error_code().map_or(Kind::Other, Kind::of);
        // A fatal one is told when the producer is given up.
        if kind != Kind::Producer {
            self.teller.note(kind, reason);
        }
        self.answers.wake.notify_one();
    }

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        let Some(file) = &self.token else { return Err("no `sasl.oauthbearer` is configured".into()) };
        let token = file.read();
        if let Err(why) = &token {
            self.teller.note(Kind::SignIn, why);
        }
        Ok(token?)
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, message: usize) {
        let failed = result.as_ref().err().map(|(error, _)| error.rdkafka_error_code().unwrap_or(Code::Fail));
        self.answers.answer(message, failed);
    }
}

/// A token that says nothing of its end is read again after this time.
const TOKEN_LIFETIME: Duration = Duration::from_secs(300);

impl TokenFile {
    fn read(&self) -> Result<OAuthToken, String> {
        // Those who issue tokens mount them as they like, and each lives for minutes.
        let text = std::fs::read_to_string(&self.path)
            .map_err(|error| format!("{}: {error}", self.path.display()))?;
        let token = text.trim().to_owned();
        let claims = claims(&token);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let ends = claims
            .as_ref()
            .and_then(|claims| claims["exp"].as_i64())
            .map(|seconds| seconds.saturating_mul(1000));
        let lifetime_ms = ends.unwrap_or((now + TOKEN_LIFETIME).as_millis() as i64);
        if lifetime_ms <= now.as_millis() as i64 {
            return Err(format!("{}: this token has ended, and nobody wrote a new one", self.path.display()));
        }
        let subject = || claims.as_ref().and_then(|claims| claims["sub"].as_str()).map(str::to_owned);
        let principal_name = self.principal.clone().or_else(subject).unwrap_or_default();
        Ok(OAuthToken { token, principal_name, lifetime_ms })
    }
}

/// The middle of a JWT.
fn claims(token: &str) -> Option<serde_json::Value> {
    use base64::Engine;
    let middle = token.split('.').nth(1)?;
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(middle.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine;

    fn token(claims: &str) -> Result<OAuthToken, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        let middle = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims);
        std::fs::write(&path, format!("head.{middle}.seal\n")).unwrap();
        TokenFile { path, principal: None }.read()
    }

    #[test]
    fn a_token_says_whose_it_is_and_when_it_ends() {
        let read = token(r#"{"sub":"forebay","exp":4102444800}"#).unwrap();
        assert_eq!((read.principal_name.as_str(), read.lifetime_ms), ("forebay", 4_102_444_800_000));
        assert!(read.token.ends_with(".seal"));
        let Err(ended) = token(r#"{"sub":"forebay","exp":1000}"#) else { panic!("it has ended") };
        assert!(ended.contains("has ended"), "{ended}");
    }

    #[test]
    fn what_is_no_jwt_is_a_token_for_some_minutes() {
        let read = token("plain").unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        assert!((1..=300_000).contains(&(read.lifetime_ms - now)), "{}", read.lifetime_ms);
    }
}
