"""What orders cost at AWS: counted amounts times list prices. Writes the tables of docs/cost.md.

``python -m generate.bill`` writes them; ``--print`` only prints. To bring them up to date, count again (``bench``,
docs/performance.md), look the prices up again, change the tables here, and run it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

PAGE: Final = Path(__file__).resolve().parents[1] / "docs" / "cost.md"
BEGIN, END = "<!-- bill -->", "<!-- end of bill -->"
HOURS: Final = 730
"""The hours of a month, as AWS counts them."""
MILLION: Final = 1_000_000
ORDERS_A_MONTH: Final = 2 * MILLION * 365 // 12
"""Two million orders a day."""

PRICES: Final = {
    "Lambda, arm64, GB-second": 0.0000133334,
    "Lambda, million requests": 0.20,
    "HTTP API, million requests": 1.00,
    "SQS standard, million requests": 0.40,
    "EventBridge, million custom events": 1.00,
    "KMS, million requests": 3.00,
    "CloudWatch Logs, GB ingested": 0.50,
    "X-Ray, million traces": 5.00,
    "SES, thousand mails": 0.10,
    "Cognito Lite, active user, the first 100,000": 0.0055,
    "Cognito Lite, active user, up to 1 million": 0.0046,
    "Cognito Lite, active user, up to 10 million": 0.00325,
    "Cognito Lite, active user, above": 0.0025,
    "NAT, GB": 0.045,
    "Aurora, ACU-hour": 0.12,
    "Aurora, million I/Os": 0.20,
    "Aurora, GB-month": 0.10,
    "S3 Standard, GB-month": 0.023,
    "NAT gateway, hour": 0.045,
    "public IPv4 address, hour": 0.005,
    "interface endpoint, hour and zone": 0.01,
    "RDS Proxy, ACU-hour": 0.015,
    "CloudWatch, alarm-month": 0.10,
    "CloudWatch, custom metric-month": 0.30,
    "Secrets Manager, secret-month": 0.40,
    "KMS, key-month": 1.00,
    "Fargate arm64, vCPU-hour": 0.03238,
    "Fargate arm64, GB-hour": 0.00356,
    "Application Load Balancer, hour": 0.0225,
    "Load balancer capacity unit, hour": 0.008,
    "RDS db.t4g.medium, two zones, hour": 0.13,
}
"""US dollars, us-east-1, from memory of 2025: **look each up again**. The first two of Cognito were read off the worked
examples of its price page in September 2026; the two above a million users are from memory like the rest."""

USER_BANDS: Final = {100_000: "the first 100,000", MILLION: "up to 1 million", 10 * MILLION: "up to 10 million"}
"""Where the price of a user falls, within a month. Above the last, it is "above"."""
GUESTS: Final = 1.0
"""Assumed: every order has a guest of its own. Each session is a user of the pool, who counts in the month of it."""

# function: (invocations per order, milliseconds billed, MB). Invocations are counted. Those of the relay and of mails
# are counted for orders that come one at a time; at many per second, orders share them. No worker is told of the
# webhook, because it only repeats what the answer said (decision 23). The time of `checkout` is an assumption (a card
# payment at a gateway). That of the others is their work here plus a millisecond per round trip.
INVOCATIONS: Final = {
    "checkout (order)": (1.0, 700, 1769),
    "checkout (quote)": (1.0, 40, 1769),
    "orders (shown once)": (1.0, 25, 1024),
    "payment_webhooks": (1.0, 17, 1024),
    "outbox_relay": (1.0, 40, 1024),
    "notifications (two mails)": (2.0, 72, 1024),
}
HTTP_REQUESTS: Final = 4.0
"""The quote, the order, showing the order, and the webhook."""
MESSAGES: Final = 3.0
"""One bell and two mail notifications. Each is sent, received and deleted."""
EVENTS: Final = 4.0
"""Counted: 3 until the order is confirmed, and 1 when its parcel leaves."""
MAILS: Final = 2.0
LOG_BYTES: Final = 819 + sum(count for count, _, _ in INVOCATIONS.values()) * 620 + HTTP_REQUESTS * 300
"""Counted: the product's own lines, Lambda's three lines per invocation (620 bytes), and the access log."""
NAT_BYTES: Final = 30_000
"""Assumed: TLS to the gateway, SQS, EventBridge and SES, without interface endpoints."""
DATABASE_CPU_MS: Final = 8.7
"""The backend's processor time until nothing of an order is left to do, with one client (docs/performance.md)."""
ACU_VCPU: Final = 0.25
ACU_USED: Final = 0.6
"""An ACU is taken as a quarter of a processor, 60 % used."""
WRITES: Final = 10.0
"""Aurora's I/Os: 40 KB of WAL, counted, in units of 4 KB."""
TABLE_BYTES: Final = 33_400
"""Counted, including indexes."""
ACTIVE_MONTHS: Final = 24
TRACED: Final = 0.05
APPLICATION_CPU_MS: Final = 10.0
"""The functions' processor time for an order, counted like the database's."""


@dataclass(frozen=True, slots=True)
class Item:
    """A line of the bill: a number of units at a price."""

    what: str
    units: float
    price: str

    @property
    def dollars(self) -> float:
        """The price of all units, in US dollars."""
        return self.units * PRICES[self.price]


def guests(sessions: float) -> list[Item]:
    """Return what a month with this many guest sessions adds to the bill: each is a user of the pool."""
    items, below = [], 0.0
    for top, band in [*USER_BANDS.items(), (math.inf, "above")]:
        if sessions > below:
            users = min(sessions, top) - below
            items.append(Item(f"guests, {band}", users, f"Cognito Lite, active user, {band}"))
        below = top
    return items


def by_the_million() -> list[Item]:
    """Return what a million orders add to the bill, but for their guests, of whom each further one costs less."""
    gb_seconds = sum(count * ms / 1000 * mb / 1024 for count, ms, mb in INVOCATIONS.values())
    invoked = sum(count for count, _, _ in INVOCATIONS.values())
    acu_hours = DATABASE_CPU_MS / 1000 / ACU_VCPU / ACU_USED * MILLION / 3600
    return [
        Item("mails", MAILS * MILLION / 1000, "SES, thousand mails"),
        Item("functions, time", gb_seconds * MILLION, "Lambda, arm64, GB-second"),
        Item("functions, invocations", invoked, "Lambda, million requests"),
        Item("HTTP API", HTTP_REQUESTS, "HTTP API, million requests"),
        Item("queues", MESSAGES * 3, "SQS standard, million requests"),
        Item("event bus", EVENTS, "EventBridge, million custom events"),
        Item("logs", LOG_BYTES * MILLION / 1e9, "CloudWatch Logs, GB ingested"),
        Item("traces", invoked * TRACED, "X-Ray, million traces"),
        Item("way out", NAT_BYTES * MILLION / 1e9, "NAT, GB"),
        Item("database, processor", acu_hours, "Aurora, ACU-hour"),
        Item("database, I/O", WRITES, "Aurora, million I/Os"),
        Item("database, kept for a month", TABLE_BYTES * MILLION / 1e9, "Aurora, GB-month"),
    ]


def at_rest(*, prod: bool) -> list[Item]:
    """Return what a month without orders costs, with ``prod`` or ``dev`` of samconfig.toml."""
    items = [
        Item("NAT gateways", (2 if prod else 1) * HOURS, "NAT gateway, hour"),
        Item("their addresses", (2 if prod else 1) * HOURS, "public IPv4 address, hour"),
        Item("alarms", 84 if prod else 83, "CloudWatch, alarm-month"),
        Item("metrics of ours", 60, "CloudWatch, custom metric-month"),
        Item("secrets", 4, "Secrets Manager, secret-month"),
        Item("the key", 1, "KMS, key-month"),
        Item("its requests", 0.3, "KMS, million requests"),
        Item("empty receives of 9 queues", 5.9, "SQS standard, million requests"),
        Item("schedules' functions", 310_000 * 0.1, "Lambda, arm64, GB-second"),
    ]
    if prod:
        items += [
            Item("database, 2 x 1 ACU", 2 * HOURS, "Aurora, ACU-hour"),
            Item("RDS Proxy, 8 ACU at least", 8 * HOURS, "RDS Proxy, ACU-hour"),
            Item("8 interface endpoints in 2 zones", 16 * HOURS, "interface endpoint, hour and zone"),
        ]
    else:
        # The schedules keep the database awake. With Schedules=DISABLED it pauses and this line is zero.
        items.append(Item("database, 0.5 ACU kept awake", 0.5 * HOURS, "Aurora, ACU-hour"))
    return items


def always_on() -> list[Item]:
    """Return the smallest setup that never sleeps.

    It has two containers of half a processor, a load balancer, and a database in two zones.
    """
    return [
        Item("2 containers, processors", 2 * 0.5 * HOURS, "Fargate arm64, vCPU-hour"),
        Item("2 containers, memory", 2 * 1.0 * HOURS, "Fargate arm64, GB-hour"),
        Item("load balancer", HOURS, "Application Load Balancer, hour"),
        Item("its capacity", HOURS, "Load balancer capacity unit, hour"),
        Item("database", HOURS, "RDS db.t4g.medium, two zones, hour"),
        Item("2 NAT gateways", 2 * HOURS, "NAT gateway, hour"),
        Item("their addresses", 2 * HOURS, "public IPv4 address, hour"),
    ]


def total(items: Sequence[Item]) -> float:
    """Return the US dollars of all lines."""
    return sum(item.dollars for item in items)


def compared() -> list[str]:
    """Compare the monthly cost of serverless and always-on, by orders per day.

    Mails and guests cost the same for both and are left out.
    """
    rest, small, box = total(at_rest(prod=True)), total(at_rest(prod=False)), total(always_on())
    serverless_only = {"functions, time", "functions, invocations", "HTTP API", "queues", "event bus"}
    each = sum(item.dollars for item in by_the_million() if item.what in serverless_only) / MILLION
    vcpu_month = PRICES["Fargate arm64, vCPU-hour"] * HOURS + 2 * PRICES["Fargate arm64, GB-hour"] * HOURS
    lines = ["| orders a day | mean a second | dev | prod | always on |", "|---|---|---|---|---|"]
    for a_day in (0, 1_000, 10_000, 100_000, MILLION, 2 * MILLION):
        month = a_day * 365 / 12
        # Containers are provisioned for the peak, ten times the mean, at 60 % use.
        processors = a_day / 86_400 * 10 * APPLICATION_CPU_MS / 1000 / 0.6
        more = max(0.0, processors - 1.0) * vcpu_month
        lines.append(
            f"| {a_day:,} | {a_day / 86_400:.1f} | ${small + each * month:,.0f} | ${rest + each * month:,.0f} "
            f"| ${box + more:,.0f} |"
        )
    return lines


def tables() -> str:
    """Return everything that is computed, as Markdown."""
    million = [*guests(GUESTS * MILLION), *by_the_million()]
    parts = ["### A million orders, in one month", *_bill(million, "a million orders")]
    users = total(guests(GUESTS * ORDERS_A_MONTH))
    month = total(by_the_million()) * ORDERS_A_MONTH / MILLION + users
    mails = MAILS / 1000 * ORDERS_A_MONTH * PRICES["SES, thousand mails"]
    kept_bytes = TABLE_BYTES * ORDERS_A_MONTH * ACTIVE_MONTHS
    kept = kept_bytes / 1e9 * PRICES["Aurora, GB-month"]
    sentences = [
        f"At 2,000,000 orders a day, 23 a second on average: {ORDERS_A_MONTH / MILLION:.1f} million a month,",
        f"**${month:,.0f}**, of it ${users:,.0f} for guests and ${mails:,.0f} for mails.",
        f"After {ACTIVE_MONTHS} months the active tables hold",
        f"{kept_bytes / 1e12:.0f} TB, ${kept:,.0f} a month, which is what `archive_after_months` decides about.",
    ]
    busy = 230 * DATABASE_CPU_MS / 1000
    peak = [
        f"The peak of 230 a second takes {busy:.1f} processors of the database: {busy / ACU_VCPU:.0f} ACU in",
        f"full, {busy / ACU_VCPU / ACU_USED:.0f} used to 60 % (`prod` allows 16).",
    ]
    parts += [
        "",
        " ".join(sentences),
        "",
        " ".join(peak),
        "",
        "### At rest, a month of `dev`",
        *_bill(at_rest(prod=False), "a month"),
        "",
        "### At rest, a month of `prod`",
        *_bill(at_rest(prod=True), "a month"),
        "",
        "### The smallest that is always on",
        *_bill(always_on(), "a month"),
        "",
        "### Which is cheaper",
        "",
        *compared(),
        "",
        "### The prices",
        "",
        "| unit | US dollars |",
        "|---|---|",
        *(f"| {unit} | {price:g} |" for unit, price in PRICES.items()),
    ]
    return "\n".join(parts)


def _bill(items: Sequence[Item], of: str) -> list[str]:
    lines = ["", "| | units | unit | $ |", "|---|---|---|---|"]
    lines += [f"| {item.what} | {_amount(item.units)} | {item.price} | {item.dollars:,.2f} |" for item in items]
    return [*lines, f"| **{of}** | | | **{total(items):,.2f}** |"]


def _amount(units: float) -> str:
    return f"{units:,.0f}" if units >= 10_000 else f"{units:,.4g}"


def page() -> str:
    """Return docs/cost.md with its tables computed anew."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.partition(END)[2]}"


def main() -> None:
    """Write the page, or print the tables."""
    if "--print" in sys.argv[1:]:
        print(tables())
        return
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
