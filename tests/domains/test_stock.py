"""Which changes a stock level allows, whatever its quantities."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from holdfast.inventory.stock import ON_HAND_MAX, Level, LevelKey, refused

KEYS = st.tuples(st.integers(1, 3), st.integers(1, 3)).map(lambda pair: (UUID(int=pair[0]), UUID(int=pair[1])))


@st.composite
def levels(draw: st.DrawFn) -> Level:
    on_hand = draw(st.integers(0, ON_HAND_MAX) | st.integers(0, 20))
    return Level(on_hand, draw(st.integers(0, on_hand)))


@given(st.dictionaries(KEYS, st.tuples(levels(), st.integers(-30, 30) | st.integers(-ON_HAND_MAX, ON_HAND_MAX))))
def test_what_is_not_refused_leaves_a_level_that_can_be(drawn: dict[LevelKey, tuple[Level, int]]) -> None:
    found = {
        refusal.key
        for refusal in refused(
            {key: level for key, (level, _) in drawn.items()}, {key: change for key, (_, change) in drawn.items()}
        )
    }
    for key, (level, change) in drawn.items():
        after = level.on_hand + change
        assert (key in found) == (not level.reserved <= after <= ON_HAND_MAX)


def test_available_is_what_is_not_reserved() -> None:
    assert Level(10, 4).available == 6
