//! Topics made by librdkafka's admin client.
//!
//! The bindings poll it for its own answers alone, so it never hears that librdkafka wants a token, and there is no
//! safe call that gives one: it is handed over by hand, before anything is asked. A client lives for one question,
//! and no token for less.
//! Must not know: which topics are wanted.

#![expect(unsafe_code, reason = "the library is C")]

use super::Create;
use super::producer::Context;
use super::topics::{ANSWER, kind_of};
use super::trouble::{Kind, Trouble};
use rdkafka::ClientContext;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::bindings::rd_kafka_oauthbearer_set_token;
use rdkafka::client::{Client, OAuthToken};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaRespErr;
use std::ffi::{CStr, CString};
use std::ptr;

/// Makes them all; each has its own answer.
///
/// # Errors
/// Why none could be asked for.
pub(super) async fn make(
    client: &ClientConfig,
    context: Context,
    topics: &[Box<str>],
    create: Create,
) -> Result<Vec<TopicResult>, Trouble> {
    let wants_token = context.has_token();
    let admin: AdminClient<Context> = client.create_with_context(context).map_err(not_made)?;
    if wants_token {
        hand_over_token(admin.inner()).map_err(|words| Trouble { kind: Kind::SignIn, words })?;
    }
    let replication = create.replication.map_or(-1, i32::from);
    let asked: Vec<NewTopic<'_>> = topics
        .iter()
        .map(|topic| NewTopic::new(topic, create.partitions.into(), TopicReplication::Fixed(replication)))
        .collect();
    let options = AdminOptions::new().request_timeout(Some(ANSWER)).operation_timeout(Some(ANSWER));
    admin.create_topics(&asked, &options).await.map_err(not_made)
}

fn not_made(error: KafkaError) -> Trouble {
    let kind = match &error {
        KafkaError::AdminOp(code) => kind_of(*code),
        _ => Kind::NotMade,
    };
    Trouble { kind, words: error.to_string() }
}

/// # Errors
/// Why there is none, or it is not taken.
fn hand_over_token(client: &Client<Context>) -> Result<(), String> {
    let OAuthToken { token, principal_name, lifetime_ms } =
        client.context().generate_oauth_token(None).map_err(|error| error.to_string())?;
    let text = |text: String| CString::new(text).map_err(|error| error.to_string());
    let (token, principal) = (text(token)?, text(principal_name)?);
    let mut why = [0_u8; 512];
    // SAFETY: the client is borrowed for the call, both texts end with a nought and are copied, there are no
    // extensions, and `why` is written up to the length that is said.
    let code = unsafe {
        rd_kafka_oauthbearer_set_token(
            client.native_ptr(),
            token.as_ptr(),
            lifetime_ms,
            principal.as_ptr(),
            ptr::null_mut(),
            0,
            why.as_mut_ptr().cast(),
            why.len(),
        )
    };
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    let why = CStr::from_bytes_until_nul(&why).unwrap_or_default();
    Err(why.to_string_lossy().into_owned())
}
