"""Client of the Sales Pipeline Manager.

from sales_pipeline_client import SalesPipelineClient

client = SalesPipelineClient(base_url="http://localhost:8000", api_key="…")
for opportunity in client.opportunities.list(status="open", sort_by="amount"):
    print(opportunity.opportunity_name, opportunity.amount)
"""

from . import models
from .client import AsyncSalesPipelineClient, SalesPipelineClient
from .credentials import Tokens
from .downloads import Downloaded
from .errors import (
    APIError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ExternalIdTakenError,
    FieldError,
    IdempotencyKeyReusedError,
    InvalidError,
    NotAnsweredError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitedError,
    SalesPipelineError,
    ServerError,
    TimedOutError,
    TokenError,
    TooLargeError,
    UnavailableError,
    UnexpectedAnswerError,
    UnsupportedMediaTypeError,
)
from .events import AsyncEventStream, EventStream
from .models import Page
from .paging import AsyncPager, Pager
from .retrying import RetryPolicy
from .steps import Clock
from .version import __version__

__all__ = [
    "APIError",
    "AsyncEventStream",
    "AsyncPager",
    "AsyncSalesPipelineClient",
    "AuthenticationError",
    "BadRequestError",
    "Clock",
    "ConflictError",
    "Downloaded",
    "EventStream",
    "ExternalIdTakenError",
    "FieldError",
    "IdempotencyKeyReusedError",
    "InvalidError",
    "NotAnsweredError",
    "NotFoundError",
    "OutcomeUnknownError",
    "Page",
    "Pager",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitedError",
    "RetryPolicy",
    "SalesPipelineClient",
    "SalesPipelineError",
    "ServerError",
    "TimedOutError",
    "TokenError",
    "Tokens",
    "TooLargeError",
    "UnavailableError",
    "UnexpectedAnswerError",
    "UnsupportedMediaTypeError",
    "__version__",
    "models",
]
