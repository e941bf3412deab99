"""Numbers are exact both ways."""

from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import httpx
import pytest

from sales_pipeline_client import InvalidError, exact
from talking import Mode, Server, refusal

LARGEST = "9999999999999.99"


@pytest.mark.parametrize(
    ("given", "written"),
    [
        (Decimal(LARGEST), LARGEST),
        (Decimal("0.10"), "0.10"),
        (Decimal("1E+3"), "1000"),
        (0.1, "0.1"),
        (1e16, "10000000000000000"),
        (300000, "300000"),
        (True, "true"),
        (None, "null"),
        ("公司", '"公司"'),
        (date(2026, 1, 31), '"2026-01-31"'),
        ({"a": [Decimal("1.5"), "x"]}, '{"a":[1.5,"x"]}'),
    ],
)
def test_values_are_written_as_the_api_reads_them(given: Any, written: str) -> None:
    assert exact.dumps(given) == written


def test_a_number_is_read_digit_by_digit() -> None:
    read = exact.loads('{"amount": 9999999999999.99, "count": 12345678901234567890}')
    assert read == {"amount": Decimal(LARGEST), "count": 12345678901234567890}
    assert isinstance(read["amount"], Decimal)


def test_what_is_no_number_is_refused_before_it_is_sent() -> None:
    for value in (float("nan"), Decimal("Infinity")):
        with pytest.raises(ValueError, match="not a finite number"):
            exact.number(value)
    with pytest.raises(ValueError, match="is no JSON"):
        exact.loads('{"amount": NaN}')
    with pytest.raises(TypeError, match="object has no JSON form"):
        exact.dumps(object())


def test_an_instant_is_sent_in_utc_and_says_its_zone() -> None:
    taipei = timezone(timedelta(hours=8))
    assert exact.dumps(datetime(2026, 1, 1, 8, 30, tzinfo=taipei)) == '"2026-01-01T00:30:00Z"'
    with pytest.raises(ValueError, match="time zone"):
        exact.dumps(datetime(2026, 1, 1, 8, 30))


def test_amounts_stay_exact_on_their_way_through_a_client(mode: Mode) -> None:
    said = b'{"code":"USD","is_default":false,"rate":32.0123456789,"valid_from":"2026-01-01"}'
    content = b'{"items":[' + said + b"]}"
    client = mode.client(Server([httpx.Response(200, content=content)]))
    currency = mode.run(client.currencies.list().first())
    assert currency.rate == Decimal("32.0123456789")
    assert currency.valid_from == date(2026, 1, 1)


def test_an_amount_is_sent_as_it_was_given(mode: Mode) -> None:
    server = Server(lambda _: refusal(422, "invalid"))
    client = mode.client(server)
    for given in (Decimal(LARGEST), 0.1):
        with pytest.raises(InvalidError):
            mode.run(client.opportunities.create(opportunity_name="A", amount=given))
    sent = [it.content.decode() for it in server.requests]
    assert f'"amount":{LARGEST}' in sent[0]
    assert '"amount":0.1,' in sent[1]
