"""The link where a shopper follows a parcel: the shop's own link for the carrier, else the carrier's well-known one."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

PLACEHOLDER: Final = "{tracking_number}"

LINKS: Final[Mapping[str, str]] = {
    "ups": "https://www.ups.com/track?tracknum={tracking_number}",
    "usps": "https://tools.usps.com/go/TrackConfirmAction?tLabels={tracking_number}",
    "fedex": "https://www.fedex.com/fedextrack/?trknbr={tracking_number}",
    "dhl": "https://www.dhl.com/global-en/home/tracking.html?tracking-id={tracking_number}",
    "dpd": "https://www.dpd.com/tracking?parcelNumber={tracking_number}",
    "gls": "https://gls-group.com/track/{tracking_number}",
    "canadapost": "https://www.canadapost-postescanada.ca/track-reperage/en#/search?searchFor={tracking_number}",
    "royalmail": "https://www.royalmail.com/track-your-item#/tracking-results/{tracking_number}",
}
"""The well-known links by carrier key (``carrier_key``)."""


def carrier_key(carrier: str) -> str:
    """Return a carrier's name in a normalized form: ``Royal Mail`` and ``royal-mail`` are the same carrier."""
    return re.sub(r"[^a-z0-9]", "", carrier.lower())


def tracking_url(
    carrier: str, tracking_number: str | None, own_links: Mapping[str, object] | None = None
) -> str | None:
    """Return the link, or None without a tracking number or for a carrier without a link.

    ``own_links`` is the organization's setting, a mapping from carrier to link. A link in it that is not an https
    address with the placeholder is ignored: a wrong setting must neither hold up a parcel nor lead a shopper elsewhere.
    """
    if tracking_number is None:
        return None
    key = carrier_key(carrier)
    own = {carrier_key(name): link for name, link in (own_links or {}).items()}.get(key)
    usable = isinstance(own, str) and own.startswith("https://") and PLACEHOLDER in own
    link = str(own) if usable else LINKS.get(key)
    return link and link.replace(PLACEHOLDER, quote(tracking_number, safe=""))
