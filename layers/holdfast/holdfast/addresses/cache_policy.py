"""How long a geocoder's answer is kept, and how its use is counted without a write in every checkout."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

TIME_TO_LIVE: Final = timedelta(days=7)
AGE_MAX: Final = timedelta(days=28)
"""However often an answer is used, the geocoder is asked again at this age: streets are renamed, houses built."""
FREQUENT_HITS: Final = 10
"""From this number of hits on, an entry is frequent: each counted use renews its time to live."""
SAMPLE_EVERY: Final = 8
"""One use in this many is recorded, and counts for all of them."""


def expiry_of_answer(now: datetime) -> datetime:
    """Return when an answer that has just arrived is to be asked for again."""
    return now + TIME_TO_LIVE


def is_sampled(order_id: UUID) -> bool:
    """Return whether this order's use is recorded. That is a matter of chance, because the id ends in random bits."""
    return order_id.bytes[-1] % SAMPLE_EVERY == 0


def use_document(now: datetime) -> dict[str, Any]:
    """Return what ``addresses.note_place`` counts for one sampled use."""
    return {
        "hits": SAMPLE_EVERY,
        "frequent_hits": FREQUENT_HITS,
        "expires_at": (now + TIME_TO_LIVE).isoformat(),
        "age_max_seconds": int(AGE_MAX.total_seconds()),
    }
