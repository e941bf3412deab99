"""Who uses it: users, teams, and what they sign in with."""

from datetime import datetime
from typing import Optional

from .base import Model, Versioned


class User(Versioned):
    """A user."""

    id: int
    email: str
    username: str
    role: str
    team_id: Optional[int]
    language: str
    time_zone: str
    is_active: bool
    is_admin: bool
    created_at: datetime
    updated_at: datetime
    invitation_url: Optional[str] = None
    has_second_factor: Optional[bool] = None


class Invitation(Model):
    """The invitation."""

    invitation_url: str


class Session(Model):
    """A session of the caller's."""

    id: int
    created_at: datetime
    refreshed_at: datetime
    expires_at: datetime
    address: Optional[str]
    is_current: bool
    client: Optional[str]


class SecondFactor(Model):
    """How somebody stands."""

    is_enabled: bool
    is_required: bool
    recovery_codes_left: int


class SecondFactorSecret(Model):
    """What the app is given, shown once."""

    secret: str
    otpauth_uri: str


class RecoveryCodes(Model):
    """It is on."""

    recovery_codes: list[str]


class Team(Versioned):
    """A team."""

    id: int
    name: str
    manager_id: Optional[int]
    parent_id: Optional[int]


class ApiKey(Versioned):
    """An API key."""

    id: int
    name: str
    prefix: str
    scopes: list[str]
    expires_at: Optional[datetime]
    last_used_at: Optional[datetime]
    created_at: datetime
    key: Optional[str] = None


class OAuthClient(Versioned):
    """A program that is given tokens."""

    id: int
    client_id: str
    name: str
    kind: str
    redirect_uris: list[str]
    scopes: list[str]
    user_id: Optional[int]
    is_built_in: bool
    created_at: datetime
    client_secret: Optional[str] = None
