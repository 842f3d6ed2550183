"""What the local system says on the terminal."""

from __future__ import annotations

import json
import shlex
import uuid
from typing import TextIO

from local.gateway_accounts import ACCOUNTS
from local.system import LocalSystem

_BOLD, _DIM, _GREEN, _RED, _CYAN, _END = "\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[31m", "\x1b[36m", "\x1b[0m"


_VENDORS = {"stripe": "Stripe", "paypal": "PayPal", "square": "Square", "adyen": "Adyen"}


class Console:
    """Writes to a stream, in color only where a person reads it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._color = stream.isatty()

    def write(self, text: str) -> None:
        """Write text as it is, immediately."""
        self._stream.write(text + "\n")
        self._stream.flush()

    def paint(self, text: str, style: str) -> str:
        """Return the text in a style, if the stream shows styles."""
        return f"{style}{text}{_END}" if self._color else text

    def bold(self, text: str) -> str:
        """Return text that matters, in bold."""
        return self.paint(text, _BOLD)

    def address(self, text: str) -> str:
        """Return text that can be opened, such as an address."""
        return self.paint(text, _CYAN)

    def dim(self, text: str) -> str:
        """Return text that explains, dimmed."""
        return self.paint(text, _DIM)

    def step(self, text: str) -> None:
        """Say that something begins."""
        self.write(self.dim(f"  {text} ..."))

    def done(self, text: str) -> None:
        """Say that something went well."""
        self.write(self.paint(f"  {text}", _GREEN))

    def note(self, text: str) -> None:
        """Say something worth knowing."""
        self.write(f"  {text}")

    def problem(self, text: str) -> None:
        """Say that something went wrong."""
        self.write(self.paint(text, _RED))


def welcome(system: LocalSystem, console: Console) -> str:
    """Return the welcome text: addresses, a token, and the command that places an order."""
    rows = {
        "API": console.address(system.api_url),
        "API docs": console.address(system.docs_url),
        **{_VENDORS[name]: console.address(url) for name, url in system.gateway_urls.items()},
        "Mailbox": console.address(system.mail_url),
        "AWS emulation": console.address(system.aws_url),
        "Database": f"psql {system.database.url}",
        "Logs": str(system.logs),
    }
    lines = [
        "",
        f"  {console.bold('Holdfast runs.')} {console.dim('Ctrl-C stops it, `make reset` starts afresh.')}",
        "",
    ]
    lines += [f"  {name:<14} {value}" for name, value in rows.items()]
    if system.shop is not None:
        token = system.token("customer")
        lines += [
            "",
            console.dim("  A customer of the demo shop (others: `make token ROLE=guest`, manager, ...):"),
            f"  export TOKEN={token}",
            "",
            console.dim("  Place an order, and see it (the key is good for one order; take another for the next):"),
            place_order_command(system.api_url, token, system.shop.sku),
            "",
            console.dim("  The other gateways take the same order; put one of these in as its payment:"),
            *(f"  {json.dumps({'gateway': account.gateway, 'token': account.payer})}" for account in ACCOUNTS[1:]),
            "",
            f'  curl -s {system.api_url}/v1/orders -H "Authorization: Bearer $TOKEN"',
        ]
    return "\n".join([*lines, ""])


def place_order_command(api_url: str, token: str, sku: str) -> str:
    """Return a curl command that places an order: complete, for any shell, with an idempotency key of its own."""
    order = {
        "items": [{"sku": sku, "quantity": 1}],
        "email": "ada@example.com",
        "shipping_address": {
            "name": "Ada Lovelace",
            "line1": "12 Analytical Way",
            "city": "Denver",
            "region": "CO",
            "postal_code": "80202",
            "country": "US",
        },
        "shipping_preference": "standard",
        "payment": {"gateway": "stripe", "token": "pm_card_visa"},
    }
    return (
        f"  curl -sS --fail-with-body -X POST {api_url}/v1/checkout \\\n"
        f"    -H 'Content-Type: application/json' -H 'Idempotency-Key: {uuid.uuid4()}' \\\n"
        f"    -H 'Authorization: Bearer {token}' \\\n"
        f"    -d {shlex.quote(json.dumps(order))}"
    )
