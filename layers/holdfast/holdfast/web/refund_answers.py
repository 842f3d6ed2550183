"""The HTTP answer to a refund."""

import json
from http import HTTPStatus

from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.money.refund_order import Refunded


def refund_answer(refunded: Refunded) -> Answer:
    """Return 201 with the refunds as they are now, and the order."""
    return Answer(int(HTTPStatus.CREATED), json.dumps({"refunds": list(refunded.refunds), "order": refunded.order}))
