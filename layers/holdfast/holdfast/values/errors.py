"""The tree of errors: what a caller may be told, and what may be tried again. Anything else is a bug.

    HoldfastError
    ├── Rejected                  the caller's problem: never retried, no alarm
    │   ├── InvalidInput          ├── NotFound            ├── Unauthenticated     ├── Forbidden
    │   ├── Conflict              ├── OutOfStock          ├── StockContended      ├── CapacityExceeded
    │   ├── PriceChanged          ├── TransitionRefused   ├── IdempotencyKeyReused ├── RequestInProgress
    │   ├── RefundExceeds         ├── NotRepresentable    └── SignatureInvalid
    └── Transient                 nobody's fault: the same request may succeed a little later

No error carries an HTTP status: only ``web.problems`` knows how each is reported over HTTP.
"""

from typing import Any, ClassVar


class HoldfastError(Exception):
    """Base of every error that Holdfast raises on purpose."""


class Rejected(HoldfastError):
    """The request cannot be served as it is, and nothing was changed. ``detail`` is the sentence for the reader."""

    code: ClassVar[str] = "rejected"

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts


class InvalidInput(Rejected):
    """A field is missing, malformed or out of bounds. Facts may carry ``errors``: a list of {field, message}."""

    code = "invalid_input"


class NotFound(Rejected):
    """There is no such thing, or it belongs to somebody else. The two are deliberately indistinguishable."""

    code = "not_found"


class Unauthenticated(Rejected):
    """Nobody vouches for the caller."""

    code = "unauthenticated"


class Forbidden(Rejected):
    """The caller is known but not allowed to do this."""

    code = "forbidden"


class Conflict(Rejected):
    """The thing has changed since the caller looked, or its state does not allow the request."""

    code = "conflict"


class OutOfStock(Rejected):
    """Some lines cannot be served. Facts: ``items``, each {variant_id, sku, requested, available}."""

    code = "out_of_stock"


class StockContended(Rejected):
    """The stock was there when it was read but taken when it was to be reserved, several times in a row. Try again."""

    code = "stock_contended"


class CapacityExceeded(Rejected):
    """Every warehouse that has the goods is at its capacity for today, and overflow was not allowed."""

    code = "capacity_exceeded"


class PriceChanged(Rejected):
    """A price that the client sent is not the catalog's. Facts: ``items``, each {sku, sent, current, currency}."""

    code = "price_changed"


class TransitionRefused(Rejected):
    """The order cannot reach that status from its present one.

    Facts: ``current`` and ``allowed`` (a list of statuses).
    """

    code = "transition_refused"


class IdempotencyKeyReused(Rejected):
    """The same idempotency key was used before with another body."""

    code = "idempotency_key_reused"


class RequestInProgress(Rejected):
    """The first request with this idempotency key is still running. Facts: ``retry_after_seconds``."""

    code = "request_in_progress"


class RefundExceeds(Rejected):
    """More than is left to refund.

    Facts: ``refundable_minor``, ``shipping_refundable_minor`` and ``items``, each {order_item_id, refundable_quantity,
    refundable_minor}.
    """

    code = "refund_exceeds"


class NotRepresentable(Rejected):
    """An amount or currency that the gateway cannot express exactly. It is never rounded."""

    code = "not_representable"


class SignatureInvalid(Rejected):
    """The signature or timestamp of a webhook does not prove its sender. Nothing is stored."""

    code = "signature_invalid"


class Transient(HoldfastError):
    """A passing failure of a dependency. The same request may succeed in ``retry_after_seconds``."""

    def __init__(self, detail: str, *, retry_after_seconds: int = 5) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_seconds = retry_after_seconds
