//! Topics made by librdkafka's admin client.
//!
//! Must not know: which topics are wanted.

use super::Create;
use super::producer::Context;
use super::topics::{ANSWER, kind_of};
use super::trouble::{Kind, Trouble};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;

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
    let admin: AdminClient<Context> = client.create_with_context(context).map_err(not_made)?;
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
