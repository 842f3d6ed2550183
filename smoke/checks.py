"""The checks that need nothing but the system's address and tokens."""

from __future__ import annotations

import base64
import json
import socket
import ssl
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from smoke.report import NotAsked, Report, expect
from smoke.system import CONNECT_TIMEOUT_SECONDS, System, new_key

ADDRESS = {
    "name": "Smoke Test",
    "line1": "12 Analytical Way",
    "city": "Denver",
    "region": "CO",
    "postal_code": "80202",
    "country": "US",
}
CERTIFICATE_MIN_DAYS = 14
WRONG_SIGNATURES = {
    "stripe": lambda: {"Stripe-Signature": f"t={int(time.time())},v1={'0' * 64}"},
    "square": lambda: {"X-Square-HmacSha256-Signature": base64.b64encode(bytes(32)).decode()},
    "paypal": lambda: {"PayPal-Transmission-Sig": "AAAA"},
    "adyen": lambda: {"Authorization": "Basic " + base64.b64encode(b"nobody:nothing").decode()},
}


def ask_everything(system: System, report: Report) -> None:
    """Run all checks, in an order in which a failure of one explains those after it."""
    _door(system, report)
    tokens = _tokens(system, report)
    _strangers(system, report, tokens[0])
    order = _order(system, report, tokens[0])
    _privacy(system, report, order, tokens)
    _webhooks(system, report, order)
    _give_back(system, report, order, tokens[0])


def _door(system: System, report: Report) -> None:
    with report.check("TLS: a certificate that is trusted, 1.2 or newer") as seen:
        seen.append(_tls(system))
    with report.check("GET /v1/health") as seen:
        reply = system.ask("GET", "/v1/health")
        expect((reply.status, reply.body) == (200, {"status": "ok"}), f"{reply.status} {reply.raw[:80]!r}")
        seen.append(f"{reply.milliseconds} ms")
    with report.check("GET /v1/openapi.json") as seen:
        reply = system.ask("GET", "/v1/openapi.json")
        expect(reply.status == 200 and "/v1/checkout" in reply.body.get("paths", {}), reply.told())
        seen.append(f"version {reply.body['info']['version']}, {len(reply.body['paths'])} paths")
    with report.check("headers: nothing kept, nothing guessed, only TLS") as seen:
        headers = system.ask("GET", "/v1/health").headers
        wanted = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        missing = [name for name, value in wanted.items() if headers.get(name) != value]
        missing += [] if headers.get("strict-transport-security") else ["strict-transport-security"]
        expect(not missing, f"missing: {', '.join(missing)}")
        expect("apigw-requestid" in headers, "no apigw-requestid: is this an HTTP API?")


def _tls(system: System) -> str:
    if system.address.scheme != "https":
        raise NotAsked("the address is not https")
    host, port = system.address.hostname or "", system.address.port or 443
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection((host, port), timeout=CONNECT_TIMEOUT_SECONDS) as raw,
        context.wrap_socket(raw, server_hostname=host) as connection,
    ):
        certificate = connection.getpeercert() or {}
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
        days = (ends - datetime.now(UTC)).days
        expect(days >= CERTIFICATE_MIN_DAYS, f"the certificate ends in {days} days")
        return f"{connection.version()}, {days} days left"


def _tokens(system: System, report: Report) -> tuple[str, str]:
    """Return the tokens of two shoppers: as given, or of guests of the shop whose publishable key was given."""
    own, other = system.options.token, system.options.other_token
    with report.check("POST /v1/guest-sessions: a guest gets a token") as seen:
        if not system.options.publishable_key:
            raise NotAsked("needs KEY=pk_...")
        for _ in range(2):
            key = {"X-Publishable-Key": system.options.publishable_key}
            reply = system.ask("POST", "/v1/guest-sessions", headers=key)
            expect(reply.status == 201, reply.told())
            own, other = own or reply.body["token"], other or (reply.body["token"] if own else "")
        seen.append(f"{reply.milliseconds} ms")
    return own, other


def _strangers(system: System, report: Report, token: str) -> None:
    for what, bearer in (
        ("no token", None),
        ("an altered token", _altered(token)),
        ("an unsigned token", _unsigned(token)),
    ):
        with report.check(f"{what} is refused"):
            if bearer == "":
                raise NotAsked("needs TOKEN or KEY")
            reply = system.ask("GET", "/v1/orders", token=bearer)
            expect(reply.status == 401, f"{reply.status} {reply.raw[:60]!r}")
    with report.check("an error is a problem document (RFC 9457)") as seen:
        _needs(token)
        reply = system.ask("POST", "/v1/checkout", {"colour": "red"}, token=token, key=new_key())
        expect(reply.headers.get("content-type") == "application/problem+json", reply.headers.get("content-type", ""))
        wanted = {"type", "title", "status", "detail", "code", "correlation_id", "errors"}
        expect(reply.status == 422 and set(reply.body) >= wanted, f"{reply.status} {sorted(reply.body)}")
        seen.append(reply.told())
    with report.check("a shopper is no staff"):
        _needs(token)
        reply = system.ask("GET", "/v1/ops/process-failures", token=token)
        expect(reply.status == 403, reply.told())


def _order(system: System, report: Report, token: str) -> dict[str, Any]:
    """Return the order that was placed, or an empty document."""
    placed: dict[str, Any] = {}
    key, options = new_key(), system.options
    body = {
        "items": [{"sku": options.sku, "quantity": 1}],
        "email": "success@simulator.amazonses.com",
        "shipping_address": ADDRESS,
        "payment": {"gateway": options.gateway, "token": options.payment_token},
    }
    with report.check("POST /v1/checkout: an order") as seen:
        _needs(token)
        first = system.ask("POST", "/v1/checkout", body, token=token, key=key)
        expect(first.status in {201, 202}, f"{first.told()} {first.body.get('detail', '')}")
        placed = first.body["order"]
        seen.append(f"{placed['order_number']} {placed['status']}, {first.milliseconds} ms")
    with report.check("the same key again: the same bytes, no second order"):
        _needs_order(placed)
        again = system.ask("POST", "/v1/checkout", body, token=token, key=key)
        expect((again.status, again.raw) == (first.status, first.raw), again.told())
    with report.check("the same key with another body is refused"):
        _needs_order(placed)
        reply = system.ask(
            "POST", "/v1/checkout", {**body, "items": [{"sku": options.sku, "quantity": 2}]}, token=token, key=key
        )
        expect((reply.status, reply.body.get("code")) == (422, "idempotency_key_reused"), reply.told())
    with report.check(f"the order is confirmed within {options.within_seconds:g} s") as seen:
        _needs_order(placed)
        path = f"/v1/orders/{placed['id']}"

        def confirmed() -> bool:
            placed.update(system.ask("GET", path, token=token).body["order"])
            return placed["status"] in {"confirmed", "address_review"}

        seconds = system.await_that(confirmed, "confirmed")
        seen.append(f"{placed['status']} after {seconds:.1f} s, payment {placed['payment_status']}")
    return placed


def _privacy(system: System, report: Report, order: dict[str, Any], tokens: tuple[str, str]) -> None:
    with report.check("an order that does not exist: 404"):
        _needs(tokens[0])
        reply = system.ask("GET", f"/v1/orders/{uuid.uuid4()}", token=tokens[0])
        expect(reply.status == 404, reply.told())
    with report.check("somebody else's order: the same 404, by id and by number"):
        _needs_order(order)
        if not tokens[1]:
            raise NotAsked("needs OTHER_TOKEN or KEY")
        for reference in (order["id"], order["order_number"]):
            reply = system.ask("GET", f"/v1/orders/{reference}", token=tokens[1])
            expect(reply.status == 404, reply.told())
        reply = system.ask("POST", f"/v1/orders/{order['id']}/cancel", {}, token=tokens[1], key=new_key())
        expect(reply.status == 404, f"cancel: {reply.told()}")


def _webhooks(system: System, report: Report, order: dict[str, Any]) -> None:
    gateway, endpoint = system.options.gateway, system.options.endpoint_key
    event = json.dumps({"id": "evt_smoke", "type": "payment_intent.succeeded", "data": {"object": {}}}).encode()
    with report.check("a webhook at an unknown endpoint is refused"):
        reply = system.ask("POST", f"/v1/webhooks/{gateway}/smoke-{uuid.uuid4().hex[:12]}", event)
        expect(reply.status == 404, reply.told())
    with report.check("a webhook with a wrong signature is refused"):
        if not endpoint:
            raise NotAsked("needs ENDPOINT_KEY")
        headers = WRONG_SIGNATURES[gateway]()
        reply = system.ask("POST", f"/v1/webhooks/{gateway}/{endpoint}", event, headers=headers)
        expect(reply.status == 401, reply.told())
    with report.check(f"the gateway's own webhook came within {system.options.within_seconds:g} s") as seen:
        _needs_order(order)
        staff = system.options.staff_token
        if not staff or not endpoint:
            raise NotAsked("needs STAFF_TOKEN (manager) and ENDPOINT_KEY")
        placed_at = datetime.fromisoformat(order["created_at"])

        def heard() -> bool:
            reply = system.ask("GET", "/v1/ops/gateways", token=staff)
            expect(reply.status == 200, reply.told())
            account = next((a for a in reply.body["gateways"] if a["endpoint_key"] == endpoint), None)
            expect(account is not None, f"no account has the endpoint key {endpoint}")
            last = account["last_webhook_at"] if account else None
            return last is not None and datetime.fromisoformat(last) >= placed_at

        seen.append(f"after {system.await_that(heard, 'a webhook since the order'):.1f} s")


def _give_back(system: System, report: Report, order: dict[str, Any], token: str) -> None:
    with report.check(f"cancelled: goods back, money back within {system.options.within_seconds:g} s") as seen:
        _needs_order(order)
        path = f"/v1/orders/{order['id']}"
        reply = system.ask("POST", f"{path}/cancel", {"reason": "smoke test"}, token=token, key=new_key())
        expect(reply.status == 200, reply.told())

        def returned() -> bool:
            order.update(system.ask("GET", path, token=token).body["order"])
            return order["payment_status"] in {"refunded", "cancelled", "voided"}

        seconds = system.await_that(returned, "refunded")
        seen.append(f"payment {order['payment_status']} after {seconds:.1f} s")


def _altered(token: str) -> str:
    """Return the token with another claim in it and the signature that it had."""
    if not token:
        return ""
    head, claims, signature = token.split(".")
    said = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    said["sub"] = f"{said.get('sub', '')}x"
    return f"{head}.{_part(said)}.{signature}"


def _unsigned(token: str) -> str:
    if not token:
        return ""
    return f"{_part({'alg': 'none', 'typ': 'JWT'})}.{token.split('.')[1]}."


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def _needs(token: str) -> None:
    if not token:
        raise NotAsked("needs TOKEN or KEY")


def _needs_order(order: dict[str, Any]) -> None:
    if not order:
        raise NotAsked("no order was placed")
