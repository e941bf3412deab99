"""Users, teams, and what they sign in with: `client.users`, `client.teams`, `client.api_keys` and more."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from typing_extensions import Required, TypedDict, Unpack

from ..models import (
    ApiKey,
    Invitation,
    OAuthClient,
    Page,
    RecoveryCodes,
    SecondFactor,
    SecondFactorSecret,
    Session,
    Team,
    User,
)
from ..operations import Guarded, Keyed, Resource, listing, operation
from ..steps import M
from .opportunities import Paging

Role = Literal["admin", "manager", "rep", "viewer"]
Scope = Literal["read", "write"]


class NewUser(Keyed, total=False):
    """What a user is made of; without a password they are invited, unless they are not active."""

    email: Required[str]
    username: Required[str]
    password: str
    role: Role
    team_id: int | None
    language: Literal["zh-TW", "en"]
    time_zone: str
    is_active: bool


class UserChange(Guarded, total=False):
    """What may be changed."""

    email: str
    username: str
    role: Role
    team_id: int | None
    language: Literal["zh-TW", "en"]
    time_zone: str
    is_active: bool


class Users(Resource[M]):
    """Who uses it."""

    @listing("GET /users")
    def list(self, **options: Unpack[Paging]) -> Page[User]:
        """Everybody."""

    @operation("POST /users")
    def create(self, **fields: Unpack[NewUser]) -> User:
        """Makes one. For administrators."""

    @operation("GET /users/{user_id}")
    def get(self, user_id: int) -> User:
        """One."""

    @operation("PATCH /users/{user_id}")
    def update(self, user_id: int, **change: Unpack[UserChange]) -> User:
        """Changes what is named."""

    @operation("GET /users/me")
    def me(self) -> User:
        """Who is signed in."""

    @operation("PATCH /users/me")
    def update_me(self, **change: Unpack[UserChange]) -> User:
        """Changes what is named of who is signed in."""

    @operation("POST /users/me/password")
    def change_password(
        self, current_password: str, new_password: str, **options: Unpack[Keyed]
    ) -> None:
        """Changes one's password; it ends the other sessions."""

    @operation("POST /users/{user_id}/invitation")
    def invite(self, user_id: int, **options: Unpack[Keyed]) -> Invitation:
        """Invites somebody who has no password yet, once more."""

    @operation("DELETE /users/{user_id}/second-factor")
    def reset_second_factor(self, user_id: int) -> None:
        """Takes somebody's second factor away."""

    @operation("DELETE /users/{user_id}/sessions")
    def end_sessions(self, user_id: int) -> None:
        """Ends all sessions of somebody."""


class Sessions(Resource[M]):
    """Where one is signed in."""

    @listing("GET /users/me/sessions")
    def list(self, **options: Unpack[Paging]) -> Page[Session]:
        """All sessions of one's own."""

    @operation("DELETE /users/me/sessions/{session_id}")
    def end(self, session_id: int) -> None:
        """Ends one."""


class SecondFactors(Resource[M]):
    """One's own second factor."""

    @operation("GET /users/me/second-factor")
    def get(self) -> SecondFactor:
        """How one stands."""

    @operation("POST /users/me/second-factor")
    def begin(self, current_password: str, **options: Unpack[Keyed]) -> SecondFactorSecret:
        """Gives what an app is told; `confirm` turns it on."""

    @operation("POST /users/me/second-factor/confirm")
    def confirm(self, code: str, **options: Unpack[Keyed]) -> RecoveryCodes:
        """Turns it on with a code of the app."""

    @operation("POST /users/me/second-factor/disable")
    def disable(self, code: str, **options: Unpack[Keyed]) -> None:
        """Turns it off."""

    @operation("POST /users/me/second-factor/recovery-codes")
    def replace_recovery_codes(self, code: str, **options: Unpack[Keyed]) -> RecoveryCodes:
        """Gives new recovery codes; the old ones are not good any more."""


class TeamFacts(TypedDict, total=False):
    """What is said of a team."""

    manager_id: int | None
    parent_id: int | None


class NewTeam(TeamFacts, Keyed, total=False):
    """What a team is made of."""

    name: Required[str]


class TeamChange(TeamFacts, Guarded, total=False):
    """What may be changed."""

    name: str


class Teams(Resource[M]):
    """Teams."""

    @listing("GET /teams")
    def list(self, **options: Unpack[Paging]) -> Page[Team]:
        """All teams."""

    @operation("POST /teams")
    def create(self, **fields: Unpack[NewTeam]) -> Team:
        """Makes one. For administrators."""

    @operation("GET /teams/{team_id}")
    def get(self, team_id: int) -> Team:
        """One."""

    @operation("PATCH /teams/{team_id}")
    def update(self, team_id: int, **change: Unpack[TeamChange]) -> Team:
        """Changes what is named."""

    @operation("DELETE /teams/{team_id}")
    def delete(self, team_id: int, **options: Unpack[Guarded]) -> None:
        """Deletes one."""

    @operation("PUT /teams/{team_id}/members/{user_id}")
    def add_member(self, team_id: int, user_id: int) -> None:
        """Puts somebody into it; a user is in at most one team."""

    @operation("DELETE /teams/{team_id}/members/{user_id}")
    def remove_member(self, team_id: int, user_id: int) -> None:
        """Takes somebody out."""


class NewApiKey(Keyed, total=False):
    """What an API key is made of."""

    name: Required[str]
    scopes: Sequence[Scope]
    expires_at: datetime | str | None


class ApiKeyList(Paging, total=False):
    """Whose keys."""

    user_id: int


class ApiKeys(Resource[M]):
    """Keys for programs, which act with the rights of who made them."""

    @listing("GET /api-keys")
    def list(self, **options: Unpack[ApiKeyList]) -> Page[ApiKey]:
        """One's keys, without what is secret."""

    @operation("POST /api-keys")
    def create(self, **fields: Unpack[NewApiKey]) -> ApiKey:
        """Makes one; only this answer holds `key`."""

    @operation("DELETE /api-keys/{api_key_id}")
    def revoke(self, api_key_id: int, **options: Unpack[Guarded]) -> None:
        """Ends one."""


class NewOAuthClient(Keyed, total=False):
    """What a program is made of."""

    name: Required[str]
    kind: Literal["public", "confidential"]
    redirect_uris: Sequence[str]
    scopes: Sequence[str]
    user_id: int


class OAuthClients(Resource[M]):
    """Programs that other people sign in to. For administrators."""

    @listing("GET /oauth-clients")
    def list(self, **options: Unpack[Paging]) -> Page[OAuthClient]:
        """All of them."""

    @operation("POST /oauth-clients")
    def create(self, **fields: Unpack[NewOAuthClient]) -> OAuthClient:
        """Makes one; only this answer holds its secret."""

    @operation("GET /oauth-clients/{oauth_client_id}")
    def get(self, oauth_client_id: int) -> OAuthClient:
        """One."""

    @operation("DELETE /oauth-clients/{oauth_client_id}")
    def delete(self, oauth_client_id: int, **options: Unpack[Guarded]) -> None:
        """Deletes one; what it was given is not good any more."""
