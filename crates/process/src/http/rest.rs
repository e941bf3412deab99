//! The body of a request, and what becomes of the rest of it when the request is answered before it was read to its end.
//!
//! The next request of a client of HTTP/1 comes after that rest. hyper looks once whether it is there, and closes the connection if not,
//! without a word of it in the answer: who sends a body after its head in a packet of its own then finds the connection gone with their
//! next request. So a rest that is small is waited for behind the answer, and of any other the answer says that the connection ends.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{Request, StatusCode, Version, header};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use tokio::{sync::oneshot, time::timeout};

/// So much is read and thrown away. Another connection costs a client less than to send more for nothing.
const SMALL_BYTES: u64 = 64 * 1024;
/// How long the answer waits for a rest of which nobody said how long it is: whether it is small has to be known before the answer says
/// what becomes of the connection. Who sends it at once is waited for so long, and who does not is not kept waiting.
const SOON: Duration = Duration::from_millis(100);

/// The body of a request. Over HTTP/1 what was not read of it goes back to its connection when it is dropped.
#[derive(Debug)]
pub struct RequestBody {
    /// `None` once it was read to its end, or broke off.
    unread: Option<Incoming>,
    has_begun: bool,
    back: Option<oneshot::Sender<Unread>>,
}

#[derive(Debug)]
struct Unread {
    body: Incoming,
    has_begun: bool,
}

/// Where the rest of a request's body comes back to.
pub(super) struct Lent {
    back: oneshot::Receiver<Unread>,
    /// The client does not send it before it is asked to.
    is_held_back: bool,
}

/// What is left of a body when its request is answered.
pub(super) enum Rest {
    /// Nothing that anybody has to care for.
    Nothing,
    /// So little that it is to be read behind the answer.
    Small(Incoming),
    /// The connection cannot go on behind it.
    TooMuch,
}

/// Makes sure that the rest of the body comes back, if there is one and the next request comes after it.
pub(super) fn lend(request: Request<Incoming>) -> (Request<RequestBody>, Option<Lent>) {
    let (back, lent) = if request.version() < Version::HTTP_2 && !request.body().is_end_stream() {
        let (give, back) = oneshot::channel();
        let is_held_back =
            request.version() == Version::HTTP_11 && request.headers().contains_key(header::EXPECT);
        (Some(give), Some(Lent { back, is_held_back }))
    } else {
        (None, None)
    };
    (request.map(|body| RequestBody { unread: Some(body), has_begun: false, back }), lent)
}

impl Lent {
    /// What is left now that the request is answered with `status`. A body that somebody still reads beside the answer is theirs.
    pub(super) async fn rest(mut self, status: StatusCode) -> Rest {
        let Ok(Unread { body, has_begun }) = self.back.try_recv() else {
            return Rest::Nothing;
        };
        // Nobody asked for it, and whether it comes all the same is up to the client (RFC 9110, 10.1.1); or it was waited for in vain.
        if (self.is_held_back && !has_begun) || status == StatusCode::REQUEST_TIMEOUT {
            return Rest::TooMuch;
        }
        match body.size_hint().exact() {
            Some(length) if length <= SMALL_BYTES => Rest::Small(body),
            Some(_) => Rest::TooMuch,
            None => match timeout(SOON, discard(body)).await {
                Ok(true) => Rest::Nothing,
                Ok(false) | Err(_) => Rest::TooMuch,
            },
        }
    }
}

/// Reads a body and throws it away: whether it came to its end and was small.
pub(super) async fn discard(mut body: Incoming) -> bool {
    let mut left = SMALL_BYTES;
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(frame) = frame else { return false };
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(less) = u64::try_from(length).ok().and_then(|it| left.checked_sub(it)) else {
            return false;
        };
        left = less;
    }
    true
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.unread else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        match frame {
            Some(Ok(_)) => self.has_begun = true,
            Some(Err(_)) | None => self.unread = None,
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.unread.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.unread.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let (Some(body), Some(back)) = (self.unread.take(), self.back.take())
            && !body.is_end_stream()
        {
            // Nobody takes it any more once the request is answered.
            let _ = back.send(Unread { body, has_begun: self.has_begun });
        }
    }
}
