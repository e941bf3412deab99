"""What the organisation has decided, and the record of changes: `client.settings`, `client.currencies` and more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Optional

from typing_extensions import Required, TypedDict, Unpack

from ..exact import Amount
from ..models import (
    AuditEntry,
    Currency,
    CustomField,
    CustomFields,
    DeadLetter,
    DeadLettersReplayed,
    ExchangeRate,
    LostReason,
    LostReasons,
    Page,
    Settings,
    SyncPage,
)
from ..operations import Guarded, Keyed, Resource, listing, operation
from ..steps import M
from .opportunities import Day, Paging, When
from .people import Role


class SettingsChange(Guarded, total=False):
    """What may be changed."""

    time_zone: str
    default_currency: str
    visibility: Literal["everyone", "team", "owner"]
    fiscal_year_start: int
    second_factor_roles: Sequence[Role]


class SettingsResource(Resource[M]):
    """The organisation's settings."""

    @operation("GET /settings")
    def get(self) -> Settings:
        """All of them."""

    @operation("PATCH /settings")
    def update(self, **change: Unpack[SettingsChange]) -> Settings:
        """Changes what is named. For administrators."""


class Currencies(Resource[M]):
    """Currencies and their dated rates."""

    @listing("GET /currencies")
    def list(self, **paging: Unpack[Paging]) -> Page[Currency]:
        """The organisation's own, and those there are rates of."""

    @listing("GET /currencies/{code}/rates")
    def list_rates(self, code: str, **options: Unpack[Paging]) -> Page[ExchangeRate]:
        """The rates of one, the latest first."""

    @operation("PUT /currencies/{code}/rates")
    def set_rate(
        self, code: str, rate: Amount, valid_from: Day, **options: Unpack[Guarded]
    ) -> ExchangeRate:
        """From that day on one unit of it is so much of the organisation's currency. For administrators."""

    @operation("DELETE /currencies/{code}/rates/{valid_from}")
    def delete_rate(self, code: str, valid_from: Day, **options: Unpack[Guarded]) -> None:
        """Takes the rate of that day away."""


class NewLostReason(Keyed, total=False):
    """What a reason is made of."""

    name: Required[str]
    position: int
    is_active: bool


class LostReasonChange(Guarded, total=False):
    """What may be changed."""

    name: str
    position: int
    is_active: bool


class LostReasonsResource(Resource[M]):
    """Why opportunities are lost."""

    @listing("GET /lost-reasons")
    def list(self, **paging: Unpack[Paging]) -> LostReasons:
        """All of them in order. A `page()` tells the version of the list."""

    @operation("POST /lost-reasons")
    def create(self, **fields: Unpack[NewLostReason]) -> LostReason:
        """Makes one. For administrators."""

    @operation("PATCH /lost-reasons/{lost_reason_id}")
    def update(self, lost_reason_id: int, **change: Unpack[LostReasonChange]) -> LostReason:
        """Changes what is named."""

    @operation("DELETE /lost-reasons/{lost_reason_id}")
    def delete(self, lost_reason_id: int, **options: Unpack[Guarded]) -> None:
        """Deletes one."""


class NewCustomField(Keyed, total=False):
    """What a field is made of."""

    key: Required[str]
    name: Required[str]
    type: Required[Literal["text", "number", "date", "choice"]]
    choices: Sequence[str]
    position: int


class CustomFieldChange(Guarded, total=False):
    """What may be changed."""

    name: str
    choices: Sequence[str]
    position: int


class CustomFieldsResource(Resource[M]):
    """Fields of the organisation's own."""

    @listing("GET /custom-fields")
    def list(self, **paging: Unpack[Paging]) -> CustomFields:
        """All of them in order. A `page()` tells the version of the list."""

    @operation("POST /custom-fields")
    def create(self, **fields: Unpack[NewCustomField]) -> CustomField:
        """Makes one. For administrators."""

    @operation("PATCH /custom-fields/{key}")
    def update(self, key: str, **change: Unpack[CustomFieldChange]) -> CustomField:
        """Changes what is named."""

    @operation("DELETE /custom-fields/{key}")
    def delete(self, key: str, **options: Unpack[Guarded]) -> None:
        """Deletes one, with what was said in it."""


class AuditFilters(Paging, total=False):
    """Which changes."""

    source: Literal["identity", "opportunities"]
    actor_user_id: int
    record_type: str
    record_id: int
    type: str
    origin: Literal["user", "bulk", "import", "seed", "system"]
    request_id: str
    from_: When
    to: When


class Audit(Resource[M]):
    """The record of changes. For administrators."""

    @listing("GET /audit")
    def list(self, **filters: Unpack[AuditFilters]) -> Page[AuditEntry]:
        """Changes, the latest first."""


DerivingService = Literal["opportunities", "analytics", "notifier"]
"""A service that applies others' events."""


class DeadLetters(Resource[M]):
    """Events that a service could not apply and put aside. For administrators."""

    @listing("GET /dead-letters/{service}")
    def list(self, service: DerivingService, **paging: Unpack[Paging]) -> Page[DeadLetter]:
        """Those of a service, in the order in which they were put aside."""

    @operation("GET /dead-letters/{service}/{dead_letter_id}")
    def get(self, service: DerivingService, dead_letter_id: int) -> DeadLetter:
        """One, with its event as `content`."""

    @operation("PUT /dead-letters/{service}/{dead_letter_id}/replay")
    def replay(self, service: DerivingService, dead_letter_id: int) -> DeadLettersReplayed:
        """Has one applied again; not found when it was applied since."""

    @operation("PUT /dead-letters/{service}/replay")
    def replay_all(self, service: DerivingService) -> DeadLettersReplayed:
        """Has up to 100 of them applied again within five seconds, those first that were tried longest ago."""


class SyncOptions(TypedDict, total=False):
    """How many at a time."""

    limit: int


class Sync(Resource[M]):
    """What changed, for who keeps a copy."""

    @listing("GET /sync")
    def changes(self, since: Optional[str] = None, **options: Unpack[SyncOptions]) -> SyncPage:
        """All records that the caller may see, or what changed since the `position` of a page, in order.

        Walk through `pages()` to know the `position` of the last, from where to go on another time.
        """


class Auth(Resource[M]):
    """Passwords by mail. Signing in is done by the client itself."""

    @operation("POST /auth/password-reset", is_public=True)
    def request_password_reset(self, email: str) -> None:
        """Mails a link to set a new password; it is never said whether there is such an account."""

    @operation("POST /auth/set-password", is_public=True)
    def set_password(self, token: str, new_password: str) -> None:
        """Sets a password with the token of a link."""
