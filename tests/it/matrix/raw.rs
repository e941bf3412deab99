//! Calling any method of gRPC with bytes, whatever it takes and answers.

use rpc::client::Channel;
use rpc::client::Context;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Status, codegen::tokio_stream::StreamExt as _};

/// Bytes as they are.
#[derive(Clone, Copy, Debug, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = ();
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        use bytes::BufMut as _;
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = ();
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<()>, Status> {
        use bytes::Buf as _;
        buffer.advance(buffer.remaining());
        Ok(Some(()))
    }
}

/// Calls a method and reads its answer, of a stream the first piece.
pub(super) async fn call(
    channel: Channel,
    rpc: &str,
    message: Vec<u8>,
    context: &Context,
) -> Result<(), Status> {
    let mut client = Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path: PathAndQuery = format!("/salespipeline.{rpc}").parse().unwrap();
    let answer = client.server_streaming(context.request(message), path, Bytes).await?;
    let mut stream = answer.into_inner();
    // Who is let in hears something at once; a stream may have no end.
    stream.next().await.transpose()?;
    Ok(())
}
