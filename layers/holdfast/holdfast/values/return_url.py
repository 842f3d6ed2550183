"""Where shoppers come back to after acting elsewhere: at their bank, or at PayPal.

A shop sets it in ``settings.storefront_return_url``, a deployment for all its shops in ``STOREFRONT_RETURN_URL``. What
is decided for an attempt stays with it: a gateway that is asked again under the same idempotency key gets the same URL.
"""

import re
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

SETTING: Final = "storefront_return_url"
_FORM: Final = (
    r"(https://[A-Za-z0-9.-]+(:[0-9]{{1,5}})?|http://(localhost|127\.0\.0\.1)(:[0-9]{{1,5}})?)"
    r"(/([!-z|~]|\{{{placeholder}\}})*)?"
)
_MAX_CHARACTERS: Final = 1000


def valid_template(template: str, placeholder: str = "order_id") -> str:
    """Return the template itself.

    Raises ``ValueError`` unless it is an https address of printable ASCII (http only for this machine) whose only
    braces are those of the placeholder. ``organizations_return_url_form`` says the same in SQL, and
    ``organizations_address_review_page_url_form`` does for ``{token}``.
    """
    form = _FORM.format(placeholder=placeholder)
    if len(template) > _MAX_CHARACTERS or not re.fullmatch(form, template):
        raise ValueError(f"{template[:200]!r} is no address a shopper can come back to")
    return template


def return_url_of(settings: Mapping[str, Any], default: str, order_id: UUID) -> str | None:
    """Return the address for one order, or ``None`` where neither the shop nor the deployment has one."""
    template = settings.get(SETTING) or default
    return valid_template(template).replace("{order_id}", str(order_id)) if template else None
