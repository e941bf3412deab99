"""What people are told."""

from datetime import datetime
from typing import Optional

from .base import Model


class Notification(Model):
    """One thing that somebody is told of."""

    id: int
    event: str
    title: str
    body: str
    opportunity_id: Optional[int]
    occurred_at: datetime
    created_at: datetime
    read_at: Optional[datetime]
