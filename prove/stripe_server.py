"""``python -m prove.stripe_server --fd N``: the local Stripe server.

Its webhooks wait until they are taken; its clock and its random values are set from outside.

POST /_prove/reset {"at","seed"} forget everything; ids are drawn anew from the seed
POST /_prove/mail {"at"}         sets the clock (Unix seconds); the events since the last time:
                                 [{"id", "type", "payment", "body"}]
"""

import argparse
import json
import random
import socket
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import uvicorn

from local.gateway_server import courier, ledger, model, server
from local.gateway_server.courier import Courier, Manner
from local.gateway_server.hosting import configuration
from local.gateway_server.model import Event
from local.gateway_server.server import Receive, Scope, Send
from local.stripe_server.server import StripeServer
from local.stripe_server.webhooks import StripePost

NEVER_SECONDS = 10.0**9
"""The delay before the bank decides by itself: longer than any seed, because the plan says when the bank decides."""


class HeldCourier(Courier):
    """Delivers nothing. The simulation of the network takes the events and delivers them where and when it likes."""

    def __init__(self, memory: Any) -> None:
        super().__init__(memory, StripePost())
        self.held: list[Event] = []

    async def send(self, events: Iterable[Event], manner: Manner) -> None:
        """Keep the events. Their manner of delivery is ignored: it is not decided here."""
        self.held.extend(events)


class ProveServer:
    """The Stripe server as an ASGI application, with the two commands above."""

    def __init__(self) -> None:
        self._stripe = StripeServer(refund_delay_seconds=NEVER_SECONDS)
        self._courier = HeldCourier(self._stripe.ledger)
        self._stripe.courier = self._courier
        self._stripe._control._courier = self._courier
        self._now = 0.0
        clock = SimpleNamespace(time=lambda: self._now)
        for module in (courier, ledger, server):
            setattr(module, "time", clock)  # noqa: B010 -- a clock in a module's place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/_prove/"):
            await self._stripe(scope, receive, send)
            return
        body = (await receive()).get("body", b"")
        answer = json.dumps(self._command(scope["path"], json.loads(body or b"{}"))).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    def _command(self, path: str, given: dict[str, Any]) -> Any:
        self._now = float(given["at"])
        if path == "/_prove/reset":
            chance = random.Random(given["seed"])
            setattr(model, "secrets", SimpleNamespace(choice=chance.choice))  # noqa: B010 -- chance in a module's place
            self._stripe.ledger.forget()
            self._stripe.behaviors.active.clear()
            self._courier.held.clear()
        else:
            events, self._courier.held = self._courier.held, []
            return [
                {"id": each.id, "type": each.type, "payment": each.payment, "body": each.body}
                for each in events
                if each.body is not None
            ]
        return {}


def main() -> None:
    """Serve on an inherited socket until interrupted."""
    parser = argparse.ArgumentParser(prog="prove.stripe_server")
    parser.add_argument("--fd", type=int, required=True)
    given = parser.parse_args()
    config = configuration(ProveServer(), 0)  # type: ignore[arg-type]
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=given.fd)])


if __name__ == "__main__":
    main()
