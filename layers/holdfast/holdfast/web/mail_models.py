"""The operations API's request bodies for mails."""

from holdfast.web.fields import Body
from holdfast.web.stock_models import Reason


class LiftBody(Body):
    """Why the address may have mail again."""

    reason: Reason
