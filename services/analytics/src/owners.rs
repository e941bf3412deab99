//! The services whose change logs analytics derives from: digests and whole histories, for rebuilding and verifying.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use auth::ServiceToken;
use futures::{Stream, TryStreamExt as _};
use proto::events::v1::change_service_client::ChangeServiceClient;
use proto::events::v1::{
    Event, GetDigestRequest, GetDigestResponse, StreamRecordsRequest, StreamRecordsResponse,
};
use rpc::client;
use rpc::client::Channel;
use tokio::time::timeout;

use crate::projection::record::{self, ExchangeRate};

/// The largest piece of a stream, in bytes.
const PIECE: usize = 16 * 1024 * 1024;

/// How long a stream may take to begin, and then each piece of it.
const PATIENCE: Duration = Duration::from_secs(30);

/// One owning service.
#[derive(Clone)]
pub struct Owner {
    channel: Channel,
    token: Arc<ServiceToken>,
}

impl Owner {
    /// Over this channel, with analytics' own token.
    pub fn new(channel: Channel, token: Arc<ServiceToken>) -> Self {
        Self { channel, token }
    }

    fn client(&self) -> ChangeServiceClient<Channel> {
        ChangeServiceClient::new(self.channel.clone()).max_decoding_message_size(PIECE)
    }

    async fn context(&self) -> Result<client::Context> {
        let authorization = self.token.authorization().await?;
        Ok(client::Context::default().with_authorization(authorization))
    }

    /// How many records of a kind there are and what their versions add up to, by range of ids.
    pub async fn digest(&self, aggregate: &str, range_size: i64) -> Result<GetDigestResponse> {
        let request = GetDigestRequest { aggregate: aggregate.to_owned(), range_size };
        let request = self.context().await?.request(request);
        Ok(self.client().get_digest(request).await?.into_inner())
    }

    /// Every rate as of its latest version, by id.
    pub async fn rates(&self) -> Result<BTreeMap<i64, ExchangeRate>> {
        let (_, records) = self.records("exchange_rate").await?;
        let told: Vec<Vec<Event>> = records.try_collect().await?;
        let rates = told.iter().flatten().map(|event| {
            let rate = record::rate(event)?;
            Ok((rate.rate_id, rate))
        });
        rates.collect()
    }

    /// Every change of every record of a kind, ordered by id and version, and the position up to which that is complete.
    pub async fn records(
        &self,
        aggregate: &str,
    ) -> Result<(i64, impl Stream<Item = Result<Vec<Event>>> + use<>)> {
        self.records_of(aggregate, 0, 0).await
    }

    /// The same of the records whose ids are in a range, both ends included; 0 is no bound.
    pub async fn records_of(
        &self,
        aggregate: &str,
        from_id: i64,
        to_id: i64,
    ) -> Result<(i64, impl Stream<Item = Result<Vec<Event>>> + use<>)> {
        let aggregates = vec![aggregate.to_owned()];
        let request = StreamRecordsRequest { aggregates, from_id, to_id };
        let request = self.context().await?.stream(request);
        let mut client = self.client();
        let opening = async {
            let mut stream = client.stream_records(request).await?.into_inner();
            let first = stream.message().await?.context("the stream ended before it began")?;
            anyhow::Ok((first, stream))
        };
        let (first, stream) = timeout(PATIENCE, opening).await.context("the owner is silent")??;
        let position = first.position.context("the stream does not say how far it goes")?;
        // Whoever reads it may hold what appliers wait for, so a stream that stands still is an error.
        let pieces = futures::stream::try_unfold(stream, async |mut stream| {
            let piece =
                timeout(PATIENCE, stream.message()).await.context("the owner is silent")??;
            Ok(piece.map(|StreamRecordsResponse { events, .. }| (events, stream)))
        });
        Ok((position, pieces))
    }
}
