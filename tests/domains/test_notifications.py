"""Which event sends whom which mail, and what the mail says, in every language and whatever the shopper typed."""

import json
import re
import string
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any
from uuid import UUID

import pytest

from holdfast.notifications.facts import (
    Facts,
    LineFacts,
    MoneyFacts,
    OrderFacts,
    RefundFacts,
    ReviewFacts,
    ShipmentFacts,
    ShopFacts,
    address_lines,
)
from holdfast.notifications.formats import date_text, instant_text, money_text
from holdfast.notifications.letters import letter_of
from holdfast.notifications.model import MailKind
from holdfast.notifications.occasions import KIND_OF_TOPIC, Occasion, no_longer_true, occasion_of
from holdfast.notifications.rendering import Rendered, render
from holdfast.notifications.retry_policy import ATTEMPTS_MAX, next_delay
from holdfast.notifications.wording import language_of, languages, words_of
from holdfast.values.money import Money

ORDER = UUID("01930000-0000-7000-8000-0000000000d1")
EVENT = UUID("01930000-0000-7000-8000-0000000000e1")
SHIPMENT = UUID("01930000-0000-7000-8000-0000000000f1")
REFUND = UUID("01930000-0000-7000-8000-0000000000a1")
HOSTILE = '<script>alert("tee")</script> & {{ 7*7 }} {name}'


def usd(minor: int) -> Money:
    return Money(minor, "USD")


LINE = LineFacts("Black Tee", "M, black", 2, usd(3998))
FACTS = Facts(
    shop=ShopFacts("Demo Shop", "help@shop.example", f"https://shop.example/orders/{ORDER}"),
    order=OrderFacts(
        number="HF-0001",
        status="confirmed",
        placed_at=datetime(2026, 11, 30, 3, 30, tzinfo=UTC),
        lines=(LINE,),
        subtotal=usd(3998),
        discount=usd(500),
        shipping=usd(799),
        tax=usd(116),
        total=usd(4413),
        refunded=usd(0),
        address=("Ada Lovelace", "12 Analytical Way", "Denver CO 80202", "US"),
        parcels=1,
    ),
    money=MoneyFacts(usd(4413), was_held=False),
    recipient="ada@example.com",
    language="en",
    timezone="America/Denver",
)
SHIPPED = ShipmentFacts(
    "HF-0001-1",
    "shipped",
    "UPS",
    "1Z999",
    "https://ups.example/1Z999",
    (LineFacts("Black Tee", "", 2, None),),
    datetime(2026, 12, 3, 18, tzinfo=UTC),
)
REVIEW = ReviewFacts("https://shop.example/address/abc.def", datetime(2026, 12, 2, 23, 0, tzinfo=UTC))


def facts_for(kind: MailKind, language: str = "en") -> Facts:
    facts = replace(FACTS, language=language)
    if kind in (MailKind.SHIPMENT_SHIPPED, MailKind.SHIPMENT_DELIVERED):
        return replace(facts, shipment=SHIPPED)
    if kind is MailKind.ORDER_REFUNDED:
        return replace(facts, refund=RefundFacts(usd(2057), "succeeded"))
    if kind in (MailKind.ADDRESS_CHECK, MailKind.ADDRESS_REMINDER):
        return replace(facts, review=REVIEW, order=replace(facts.order, status="address_review"))
    return facts


def body(kind: MailKind, facts: Facts) -> Rendered:
    return render(letter_of(kind, facts))


# --- which event sends which mail -----------------------------------------------------------------------------------


def event(**more: Any) -> dict[str, Any]:
    return {"id": str(EVENT), "organization_id": str(ORDER), "order_id": str(ORDER), **more}


@pytest.mark.parametrize(("topic", "kind"), KIND_OF_TOPIC.items())
def test_an_event_calls_for_the_mail_of_its_topic(topic: str, kind: MailKind) -> None:
    found = occasion_of(topic, event(shipment_id=str(SHIPMENT)))
    assert found is not None
    assert (found.kind, found.order_id) == (kind, ORDER)


def test_every_kind_of_mail_is_called_for_by_some_event() -> None:
    assert set(KIND_OF_TOPIC.values()) == set(MailKind)


@pytest.mark.parametrize(
    "topic", ["order.created", "order.paid", "order.refund_failed", "order.shipped", "capacity.reached"]
)
def test_other_events_tell_the_shopper_nothing(topic: str) -> None:
    assert occasion_of(topic, event()) is None


def test_a_shipment_is_told_of_once_however_many_events_tell_of_it() -> None:
    first = occasion_of("shipment.shipped", event(shipment_id=str(SHIPMENT)))
    second = occasion_of("shipment.shipped", event(shipment_id=str(SHIPMENT)) | {"id": str(REFUND)})
    assert first == second == Occasion(MailKind.SHIPMENT_SHIPPED, SHIPMENT, ORDER, shipment_id=SHIPMENT)


def test_two_refunds_are_two_mails() -> None:
    found = occasion_of("order.partially_refunded", event(refund_id=str(REFUND)))
    assert found == Occasion(MailKind.ORDER_REFUNDED, EVENT, ORDER, refund_id=REFUND)


def test_a_cancellation_because_the_money_came_late_says_so() -> None:
    found = occasion_of("order.cancelled", event(reason="late_payment"))
    assert found is not None
    assert found.kind is MailKind.LATE_PAYMENT_RETURNED


@pytest.mark.parametrize("missing", ["order_id", "id"])
def test_an_event_without_its_ids_is_an_error(missing: str) -> None:
    broken = {name: value for name, value in event().items() if name != missing}
    with pytest.raises(KeyError):
        occasion_of("order.confirmed", broken)


# --- whether a mail is still true -----------------------------------------------------------------------------------


def in_status(status: str) -> Facts:
    return replace(FACTS, order=replace(FACTS.order, status=status))


@pytest.mark.parametrize(
    ("kind", "status", "is_true"),
    [
        (MailKind.ORDER_CONFIRMED, "confirmed", True),
        (MailKind.ORDER_CONFIRMED, "shipped", True),
        (MailKind.ORDER_CONFIRMED, "cancelled", False),
        (MailKind.ORDER_CONFIRMED, "address_review", False),
        (MailKind.PAYMENT_FAILED, "payment_failed", True),
        (MailKind.PAYMENT_FAILED, "confirmed", False),
        (MailKind.PAYMENT_FAILED, "cancelled", False),
        (MailKind.ORDER_CANCELLED, "cancelled", True),
        (MailKind.ADDRESS_CHECK, "confirmed", False),
        (MailKind.ADDRESS_REMINDER, "cancelled", False),
        (MailKind.LATE_PAYMENT_RETURNED, "cancelled", True),
    ],
)
def test_news_that_the_order_left_behind_is_not_sent(kind: MailKind, status: str, is_true: bool) -> None:
    assert (no_longer_true(kind, in_status(status)) is None) is is_true


def test_a_review_that_is_open_is_told_of() -> None:
    assert no_longer_true(MailKind.ADDRESS_CHECK, facts_for(MailKind.ADDRESS_CHECK)) is None


def test_a_parcel_that_never_left_and_a_refund_that_failed_are_not_told_of() -> None:
    shipment = replace(FACTS, shipment=replace(SHIPPED, status="cancelled"))
    assert no_longer_true(MailKind.SHIPMENT_SHIPPED, shipment) is not None
    refund = replace(FACTS, refund=RefundFacts(usd(1), "failed"))
    assert no_longer_true(MailKind.ORDER_REFUNDED, refund) is not None


def test_delays_grow_to_an_hour_and_end() -> None:
    delays = [next_delay(attempts) for attempts in range(1, ATTEMPTS_MAX + 1)]
    seconds = [delay.total_seconds() for delay in delays if delay is not None]
    assert seconds[:7] == [60, 120, 240, 480, 960, 1920, 3600]
    assert seconds == sorted(seconds)
    assert max(seconds) == 3600
    assert delays[-1] is None
    assert sum(seconds, 0.0) < timedelta(hours=7).total_seconds()


# --- wording --------------------------------------------------------------------------------------------------------


def test_there_are_three_languages_and_english_is_the_last_resort() -> None:
    assert languages() == {"en", "de", "fr"}
    assert language_of(["de-AT", "fr"]) == "de"
    assert language_of([None, "fr-CA"]) == "fr"
    assert language_of(["pt-BR", None]) == "en"
    assert words_of("pt") == words_of("en")


def fields(value: Any) -> set[str]:
    """Return the names in braces in every text below a value."""
    if isinstance(value, str):
        return {name for _, name, _, _ in string.Formatter().parse(value) if name}
    return set().union(*(fields(each) for each in value))


@pytest.mark.parametrize("language", sorted(languages()))
def test_every_language_says_everything_with_the_same_figures_in_it(language: str) -> None:
    english = words_of("en")
    own = json.loads((files("holdfast.notifications") / "words" / f"{language}.json").read_text(encoding="utf-8"))
    assert {section: set(texts) for section, texts in own.items()} == {
        section: set(texts) for section, texts in english.items()
    }
    for section, texts in english.items():
        for name, text in texts.items():
            said = own[section][name]
            assert fields(said) == fields(text), f"{language}, {section}.{name}"
            assert type(said) is type(text)


def test_a_language_that_lacks_a_text_says_it_in_english(monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.notifications import wording  # noqa: PLC0415

    real = wording._read
    cut = {"labels": {"total": "Summe"}}
    monkeypatch.setattr(wording, "_read", lambda language: cut if language == "de" else real(language))
    wording.words_of.cache_clear()
    try:
        words = wording.words_of("de")
        assert words["labels"]["total"] == "Summe"
        assert words["labels"]["tax"] == "Tax"
        assert words["order_confirmed"] == real("en")["order_confirmed"]
    finally:
        wording.words_of.cache_clear()


@pytest.mark.parametrize(
    ("money", "english", "german", "french"),
    [
        (Money(123450, "USD"), "$1,234.50", "1.234,50\u00a0$", "1\u202f234,50\u00a0$"),
        (Money(5, "EUR"), "€0.05", "0,05\u00a0€", "0,05\u00a0€"),
        (Money(1234, "JPY"), "¥1,234", "1.234\u00a0¥", "1\u202f234\u00a0¥"),
        (Money(1234500, "KWD"), "1,234.500\u00a0KWD", "1.234,500\u00a0KWD", "1\u202f234,500\u00a0KWD"),
        (Money(-500, "USD"), "\u2212$5.00", "\u22125,00\u00a0$", "\u22125,00\u00a0$"),
        (Money(0, "CAD"), "0.00\u00a0CAD", "0,00\u00a0CAD", "0,00\u00a0CAD"),
    ],
)
def test_money_is_written_as_its_currency_and_its_reader_have_it(
    money: Money, english: str, german: str, french: str
) -> None:
    assert [money_text(money, language) for language in ("en", "de", "fr")] == [english, german, french]


def test_dates_are_those_of_the_readers_own_wall() -> None:
    at = datetime(2026, 12, 1, 3, 30, tzinfo=UTC)
    assert date_text(at, "en", "America/Denver") == "November 30, 2026"
    assert date_text(at, "de", "Europe/Berlin") == "1. Dezember 2026"
    assert date_text(at, "fr", "Europe/Paris") == "1er décembre 2026"
    assert instant_text(at, "en", "America/New_York") == "November 30, 2026, 10:30 PM (America/New York)"
    assert instant_text(at, "de", "Europe/Berlin") == "1. Dezember 2026, 04:30 (Europe/Berlin)"
    assert date_text(at, "en", "Mars/Olympus") == "December 1, 2026"


# --- mails ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", sorted(languages()))
@pytest.mark.parametrize("kind", MailKind)
def test_every_mail_is_whole_in_every_language(kind: MailKind, language: str) -> None:
    facts = facts_for(kind, language)
    letter = letter_of(kind, facts)
    written = render(letter)
    assert "HF-0001" in letter.subject
    assert len(letter.subject) <= 70
    assert letter.preheader
    for text in (written.html, written.text):
        assert "HF-0001" in text
        assert "Demo Shop" in text
        assert "Ada Lovelace" in text
        assert not re.search(r"\{[a-z_]+\}|\{\{|None|built-in method|Undefined", text), text
        for paragraph in (*letter.paragraphs, *letter.after):
            assert paragraph in text.replace("&#39;", "'")
    assert f'<html lang="{language}"' in written.html
    assert 'name="viewport"' in written.html
    assert all(len(line) < 990 for line in written.html.splitlines())


ESSENTIALS: dict[MailKind, list[str]] = {
    MailKind.ORDER_CONFIRMED: [
        "Black Tee",
        "M, black",
        "$39.98",
        "\u2212$5.00",
        "$7.99",
        "$44.13",
        "12 Analytical Way",
    ],
    MailKind.PAYMENT_FAILED: ["$44.13", "no money was taken", f"https://shop.example/orders/{ORDER}"],
    MailKind.SHIPMENT_SHIPPED: ["HF-0001-1", "UPS", "1Z999", "https://ups.example/1Z999", "December 3, 2026"],
    MailKind.SHIPMENT_DELIVERED: ["HF-0001-1", "was delivered", "Black Tee"],
    MailKind.ORDER_REFUNDED: ["$20.57", "payment method that you paid with"],
    MailKind.ADDRESS_CHECK: [
        "12 Analytical Way",
        "https://shop.example/address/abc.def",
        "December 2, 2026, 4:00 PM (America/Denver)",
    ],
    MailKind.ADDRESS_REMINDER: ["https://shop.example/address/abc.def", "December 2, 2026, 4:00 PM"],
    MailKind.ORDER_CANCELLED: ["was cancelled", "We are returning $44.13"],
    MailKind.LATE_PAYMENT_RETURNED: ["arrived after", "We are returning $44.13"],
}


@pytest.mark.parametrize("kind", MailKind)
def test_a_mail_has_what_its_reader_needs(kind: MailKind) -> None:
    written = body(kind, facts_for(kind))
    for essential in ESSENTIALS[kind]:
        assert essential in written.text
        assert essential in written.html


def test_a_parcel_shows_no_prices() -> None:
    assert "Amount" not in body(MailKind.SHIPMENT_SHIPPED, facts_for(MailKind.SHIPMENT_SHIPPED)).html
    assert "Amount" in body(MailKind.ORDER_CONFIRMED, FACTS).html


def test_several_parcels_are_announced() -> None:
    split = replace(FACTS, order=replace(FACTS.order, parcels=3))
    assert "It comes in 3 parcels" in body(MailKind.ORDER_CONFIRMED, split).text
    assert "comes in 3 parcels" in body(MailKind.SHIPMENT_SHIPPED, replace(split, shipment=SHIPPED)).text
    assert "parcels" not in body(MailKind.ORDER_CONFIRMED, FACTS).text


def test_a_full_refund_says_that_all_is_refunded_and_a_partial_one_does_not() -> None:
    partly = facts_for(MailKind.ORDER_REFUNDED)
    fully = replace(partly, order=replace(partly.order, refunded=partly.order.total))
    assert "all of its price of $44.13" in body(MailKind.ORDER_REFUNDED, fully).text
    assert "all of its price" not in body(MailKind.ORDER_REFUNDED, partly).text
    unknown = replace(partly, refund=None, order=replace(partly.order, refunded=usd(2057)))
    assert "$20.57" in body(MailKind.ORDER_REFUNDED, unknown).text


@pytest.mark.parametrize(
    ("money", "fate"),
    [
        (MoneyFacts(usd(4413), was_held=True), "We are returning $44.13"),
        (MoneyFacts(usd(0), was_held=True), "is being released"),
        (MoneyFacts(usd(0), was_held=False), "No money was taken."),
    ],
)
def test_a_cancellation_says_what_becomes_of_the_money(money: MoneyFacts, fate: str) -> None:
    assert fate in body(MailKind.ORDER_CANCELLED, replace(FACTS, money=money)).text


def test_what_shoppers_and_shops_typed_is_escaped_in_html_and_never_run() -> None:
    hostile = replace(
        FACTS,
        shop=ShopFacts(HOSTILE, None, f'https://shop.example/"><img src=x onerror={HOSTILE}>'),
        order=replace(
            FACTS.order,
            lines=(LineFacts(HOSTILE, HOSTILE, 1, usd(1)),),
            address=(HOSTILE, HOSTILE, "Denver", "US"),
        ),
    )
    for kind in MailKind:
        facts = replace(facts_for(kind), shop=hostile.shop, order=replace(hostile.order, status="x"))
        written = body(kind, facts)
        assert "<script>" not in written.html, kind
        assert "<img" not in written.html, kind
        assert "&lt;script&gt;" in written.html
        assert "{{ 7*7 }}" in written.html
        assert "<script>" in written.text, "plain text says what was typed"


@pytest.mark.parametrize("url", ["javascript:alert(1)", "data:text/html,x", "", None])
def test_only_addresses_of_the_web_are_linked(url: str | None) -> None:
    facts = replace(FACTS, shop=replace(FACTS.shop, order_url=None), shipment=replace(SHIPPED, tracking_url=url))
    letter = letter_of(MailKind.SHIPMENT_SHIPPED, facts)
    assert letter.button is None
    assert "href" not in render(letter).html


def test_without_a_page_of_the_shop_nothing_is_linked() -> None:
    nowhere = replace(FACTS, shop=ShopFacts("Demo Shop", None, None))
    assert letter_of(MailKind.ORDER_CONFIRMED, nowhere).button is None
    assert "Just answer this mail" not in body(MailKind.ORDER_CONFIRMED, nowhere).text
    assert "Just answer this mail" in body(MailKind.ORDER_CONFIRMED, FACTS).text


def test_an_address_is_written_without_what_is_not_there() -> None:
    lines = address_lines({"name": "Ada", "line1": "1 Way", "line2": None, "city": "Denver", "country": "US"})
    assert lines == ("Ada", "1 Way", "Denver", "US")
