"""What was done about opportunities, and what is to be done."""

from datetime import datetime
from typing import Optional

from .base import Model, Versioned


class Mention(Model):
    """Somebody who is mentioned."""

    user_id: int
    username: str


class Activity(Versioned):
    """An activity."""

    id: int
    opportunity_id: int
    opportunity_name: str
    customer_id: int
    customer_name: str
    activity_type: str
    subject: str
    description: Optional[str]
    scheduled_at: Optional[datetime]
    completed_at: Optional[datetime]
    owner_id: int
    owner_name: str
    created_by: int
    created_by_name: str
    mentions: list[Mention]
    created_at: datetime
    updated_at: datetime
