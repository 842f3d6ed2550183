"""Sample events as the functions receive them, with webhooks signed at this moment.

A static webhook cannot stay valid: Stripe's signature covers its time, and a verifier refuses one that is older than
300 seconds. The files under events/payment_webhooks are therefore answered with 401 as they are. This renders them with
a fresh signature:

    python -m local.sample_events payment_webhooks/stripe_payment_intent_succeeded --secret whsec_... |
        sam local invoke PaymentWebhooksFunction --env-vars events/env.json --event -

The signature is written from Stripe's documentation (https://docs.stripe.com/webhooks#verify-manually) and shares no
code with the verifier that checks it.
"""

import argparse
import hashlib
import hmac
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

EVENTS = Path(__file__).resolve().parent.parent / "events"
DEFAULT_SECRET = "whsec_sample"  # noqa: S105 -- the secret of the samples; it guards nothing


def names() -> list[str]:
    """Return the name of every sample as `<function>/<case>`, sorted."""
    return sorted(path.relative_to(EVENTS).with_suffix("").as_posix() for path in EVENTS.glob("*/*.json"))


def stripe_signature(body: bytes, *, secret: str, now: datetime) -> str:
    """Return the `Stripe-Signature` of these raw bytes: HMAC-SHA256 over `{t}.{body}`, keyed with the whole secret."""
    timestamp = int(now.timestamp())
    digest = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={timestamp},v1={digest}"


def render(name: str, *, now: datetime, secret: str = DEFAULT_SECRET) -> dict[str, Any]:
    """Return the sample called `<function>/<case>`. A webhook that has a signature gets a fresh one for `now` (aware).

    Raises LookupError when there is no such sample.
    """
    if name not in names():
        raise LookupError(f"There is no sample event {name!r}. There are: {', '.join(names())}.")
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text(encoding="utf-8"))
    headers: dict[str, str] = event.get("headers", {})
    if "stripe-signature" in headers:
        headers["stripe-signature"] = stripe_signature(event["body"].encode(), secret=secret, now=now)
        event["requestContext"]["timeEpoch"] = int(now.timestamp() * 1000)
        event["requestContext"]["time"] = now.strftime("%d/%b/%Y:%H:%M:%S +0000")
    return event


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints one sample, or the names of all. Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m local.sample_events", description="Renders a sample event.")
    parser.add_argument("name", nargs="?", help="<function>/<case>; without it, the names of all samples")
    parser.add_argument("--secret", default=DEFAULT_SECRET, help="webhook secret to sign with (default: %(default)s)")
    chosen = parser.parse_args(arguments)
    if chosen.name is None:
        print("\n".join(names()))
        return 0
    try:
        event = render(chosen.name, now=datetime.now(UTC), secret=chosen.secret)
    except LookupError as error:
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(event, indent=2, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main())
