"""How long a geocoder's answer is kept, and how its use is counted without a write in every checkout."""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

TIME_TO_LIVE: Final = timedelta(days=7)
AGE_MAX: Final = timedelta(days=28)
"""However often an answer is used, it is asked for again at this age: streets are renamed, houses built."""
FREQUENT_HITS: Final = 10
"""From here on an entry is frequent: each counted use gives it its time to live anew."""
SAMPLE_EVERY: Final = 8
"""One use in so many is written down, and counts for all of them."""


def expiry_of_answer(now: datetime) -> datetime:
    """When an answer that came just now is to be asked for again."""
    return now + TIME_TO_LIVE


def is_sampled(order_id: UUID) -> bool:
    """Whether the use by this order is one that is written down: by chance, for the id ends in randomness."""
    return order_id.bytes[-1] % SAMPLE_EVERY == 0


def use_document(now: datetime) -> dict[str, Any]:
    """What ``addresses.note_place`` counts for one use that was sampled."""
    return {
        "hits": SAMPLE_EVERY,
        "frequent_hits": FREQUENT_HITS,
        "expires_at": (now + TIME_TO_LIVE).isoformat(),
        "age_max_seconds": int(AGE_MAX.total_seconds()),
    }
