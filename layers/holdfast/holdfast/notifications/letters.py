"""The content of a mail before it is text or HTML, composed from the facts of the order in the reader's language.

Pure. Values come from shoppers and shops. Nothing is escaped here; that is up to ``rendering``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from holdfast.notifications.facts import Facts, LineFacts
from holdfast.notifications.formats import date_text, instant_text, money_text
from holdfast.notifications.model import MailKind
from holdfast.notifications.wording import words_of
from holdfast.values.money import Money


@dataclass(frozen=True, slots=True)
class Button:
    """The single action that a mail offers."""

    label: str
    url: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table of goods."""

    name: str
    options: str
    quantity: str
    amount: str


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail in words."""

    language: str
    subject: str
    preheader: str
    """What inboxes show beside the subject."""
    shop: str
    heading: str
    greeting: str
    paragraphs: tuple[str, ...]
    after: tuple[str, ...]
    """Paragraphs below the address or the goods that they refer to."""
    button: Button | None
    facts: tuple[tuple[str, str], ...]
    """Labels and values, such as the carrier and the tracking number."""
    lines: tuple[Line, ...]
    totals: tuple[tuple[str, str], ...]
    address: tuple[str, ...]
    labels: Mapping[str, str]
    footer: tuple[str, ...]

    @property
    def has_amounts(self) -> bool:
        """Whether the table of goods has prices. That of a parcel has none."""
        return any(line.amount for line in self.lines)


def letter_of(kind: MailKind, facts: Facts) -> Letter:
    """Compose the mail of this kind about this order."""
    language = facts.language
    words = words_of(language)
    values = _values(kind, facts)

    def say(template: str) -> str:
        return template.format_map(values)

    said = words[kind]
    labels = {name: say(text) for name, text in words["labels"].items()}
    before, after = _paragraphs(kind, facts, said)
    name = facts.order.address[0] if facts.order.address else ""
    footer = [labels["footer"]] + ([labels["footer_reply"]] if facts.shop.reply_to else [])
    return Letter(
        language=language,
        subject=say(said["subject"]),
        preheader=say(said["preheader"]),
        shop=facts.shop.name,
        heading=say(said["heading"]),
        greeting=labels["greeting"] if name else labels["greeting_nobody"],
        paragraphs=tuple(map(say, before)),
        after=tuple(map(say, after)),
        button=_button(kind, facts, said, labels),
        facts=_shipping_facts(facts, labels),
        lines=tuple(_line(line, language) for line in _goods(kind, facts)),
        totals=_totals(facts, labels) if kind is MailKind.ORDER_CONFIRMED else (),
        address=facts.order.address if _shows_address(kind) else (),
        labels=labels,
        footer=tuple(footer),
    )


def _values(kind: MailKind, facts: Facts) -> dict[str, str]:
    language, order = facts.language, facts.order
    amount = facts.money.taken
    if kind is MailKind.ORDER_REFUNDED:
        amount = facts.refund.amount if facts.refund else order.refunded
    return {
        "number": order.number,
        "name": order.address[0] if order.address else "",
        "shop": facts.shop.name,
        "placed": date_text(order.placed_at, language, facts.timezone),
        "total": money_text(order.total, language),
        "amount": money_text(amount, language),
        "parcels": str(order.parcels),
        "shipment": facts.shipment.number if facts.shipment else "",
        "deadline": instant_text(facts.review.deadline, language, facts.timezone) if facts.review else "",
    }


def _paragraphs(kind: MailKind, facts: Facts, said: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """Return the paragraphs above, and those below, what the mail shows."""
    common: list[str] = said["paragraphs"]
    match kind:
        case MailKind.ORDER_CONFIRMED:
            return [*common, said["parcels" if facts.order.parcels > 1 else "one_parcel"]], []
        case MailKind.SHIPMENT_SHIPPED:
            return common[:1], [said["parcels"]] if facts.order.parcels > 1 else []
        case MailKind.ORDER_REFUNDED:
            is_full = facts.order.refunded == facts.order.total
            return [said["fully" if is_full else "partly"], *common], []
        case MailKind.ORDER_CANCELLED | MailKind.LATE_PAYMENT_RETURNED:
            money = facts.money
            fate = "taken" if money.taken.amount_minor > 0 else "held" if money.was_held else "nothing"
            return [*common, said[fate]], []
        case MailKind.ADDRESS_CHECK | MailKind.ADDRESS_REMINDER | MailKind.SHIPMENT_DELIVERED:
            return common[:1], common[1:]
        case _:
            return common, []


def _button(kind: MailKind, facts: Facts, said: Mapping[str, Any], labels: Mapping[str, str]) -> Button | None:
    own: str | None = said.get("button")
    match kind:
        case MailKind.SHIPMENT_SHIPPED:
            url = facts.shipment.tracking_url if facts.shipment else None
            return _link(own, url) or _link(labels["view_order"], facts.shop.order_url)
        case MailKind.ADDRESS_CHECK | MailKind.ADDRESS_REMINDER:
            return _link(own, facts.review.url if facts.review else None)
        case MailKind.PAYMENT_FAILED:
            return _link(own, facts.shop.order_url)
        case _:
            return _link(labels["view_order"], facts.shop.order_url)


def _link(label: str | None, url: str | None) -> Button | None:
    """Return a button, where there is somewhere to go. Addresses that are not web addresses are not linked."""
    if not label or not url or not url.startswith(("https://", "http://")):
        return None
    return Button(label, url)


def _shows_address(kind: MailKind) -> bool:
    return kind in (MailKind.ORDER_CONFIRMED, MailKind.ADDRESS_CHECK, MailKind.ADDRESS_REMINDER)


def _goods(kind: MailKind, facts: Facts) -> tuple[LineFacts, ...]:
    if facts.shipment is not None:
        return facts.shipment.lines
    return facts.order.lines if kind in (MailKind.ORDER_CONFIRMED, MailKind.PAYMENT_FAILED) else ()


def _line(line: LineFacts, language: str) -> Line:
    amount = "" if line.amount is None else money_text(line.amount, language)
    return Line(line.name, line.options, str(line.quantity), amount)


def _totals(facts: Facts, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    order, language = facts.order, facts.language
    rows: list[tuple[str, Money]] = [("subtotal", order.subtotal)]
    if order.discount.amount_minor:
        rows.append(("discount", Money(-order.discount.amount_minor, order.discount.currency)))
    rows += [("shipping", order.shipping), ("tax", order.tax), ("total", order.total)]
    return tuple((labels[name], money_text(amount, language)) for name, amount in rows)


def _shipping_facts(facts: Facts, labels: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    shipment = facts.shipment
    if shipment is None:
        return ()
    expected = shipment.estimated_delivery
    rows = (
        ("carrier", shipment.carrier),
        ("tracking_number", shipment.tracking_number),
        ("expected", expected and date_text(expected, facts.language, facts.timezone)),
    )
    return tuple((labels[name], text) for name, text in rows if text)
