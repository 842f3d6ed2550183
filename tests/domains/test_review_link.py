"""The link that asks a shopper to check an address: signed with a key, verified with it, and impossible to guess."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.addresses.review_link import (
    LinkExpired,
    LinkInvalid,
    ReviewLink,
    keys_of,
    make_token,
    page_url,
    read_token,
    valid_page,
)

NOW = datetime(2026, 11, 27, 16, 0, 0, 123456, tzinfo=UTC)
DEADLINE = NOW + timedelta(hours=120)
REVIEW = UUID("01930000-0000-7000-8000-0000000000a1")
ORGANIZATION = UUID("01930000-0000-7000-8000-0000000000b2")
NONCE = "0123456789abcdef" * 2
KEY, OLD_KEY, FOREIGN_KEY = b"k" * 32, b"o" * 32, b"f" * 32
TOKEN = make_token(REVIEW, ORGANIZATION, NONCE, DEADLINE, KEY)


def test_what_was_signed_is_read_to_the_microsecond() -> None:
    assert read_token(TOKEN, [KEY], NOW) == ReviewLink(REVIEW, ORGANIZATION, NONCE, DEADLINE)


def test_a_link_can_stand_in_a_path_and_tells_nobody_a_key() -> None:
    assert set(TOKEN) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")
    assert len(TOKEN) < 160


def test_a_link_of_the_key_before_is_good_until_that_key_is_gone() -> None:
    mailed = make_token(REVIEW, ORGANIZATION, NONCE, DEADLINE, OLD_KEY)
    assert read_token(mailed, [KEY, OLD_KEY], NOW).review_id == REVIEW
    with pytest.raises(LinkInvalid):
        read_token(mailed, [KEY], NOW)


def test_a_link_ends_with_its_deadline_and_not_a_moment_before() -> None:
    assert read_token(TOKEN, [KEY], DEADLINE - timedelta(microseconds=1)).expires_at == DEADLINE
    for late in (DEADLINE, DEADLINE + timedelta(days=400)):
        with pytest.raises(LinkExpired):
            read_token(TOKEN, [KEY], late)


def test_a_forged_link_past_its_time_is_a_forgery_and_not_an_old_link() -> None:
    with pytest.raises(LinkInvalid):
        read_token(TOKEN, [FOREIGN_KEY], DEADLINE + timedelta(days=1))


def test_every_changed_letter_makes_it_worthless() -> None:
    for at, letter in enumerate(TOKEN):
        for other in ("A", "b", ".", "", "=", "\u0660", " "):
            if other == letter:
                continue
            with pytest.raises(LinkInvalid):
                read_token(TOKEN[:at] + other + TOKEN[at + 1 :], [KEY], NOW)


def test_parts_of_two_links_make_no_third() -> None:
    other = make_token(UUID(int=REVIEW.int + 1), ORGANIZATION, NONCE, DEADLINE, KEY)
    body, signature = other.split(".")[0], TOKEN.split(".")[1]
    with pytest.raises(LinkInvalid):
        read_token(f"{body}.{signature}", [KEY], NOW)


@given(st.text(max_size=400))
def test_any_text_is_refused_in_the_same_words(text: str) -> None:
    with pytest.raises(LinkInvalid, match="there is no such link"):
        read_token(text, [KEY, OLD_KEY], NOW)


@pytest.mark.parametrize("nonce", ["", "0" * 31, "G" * 32, "0" * 33, "A" * 32])
def test_a_link_is_made_with_a_nonce_alone(nonce: str) -> None:
    with pytest.raises(ValueError, match="nonce"):
        make_token(REVIEW, ORGANIZATION, nonce, DEADLINE, KEY)


def test_nothing_is_signed_with_a_short_key() -> None:
    with pytest.raises(ValueError, match="too short"):
        make_token(REVIEW, ORGANIZATION, NONCE, DEADLINE, b"k" * 31)


def test_the_current_key_comes_first_and_one_before_it_may_be_missing() -> None:
    assert keys_of({"current": "n" * 32, "previous": "o" * 32}) == [b"n" * 32, b"o" * 32]
    assert keys_of({"current": "n" * 32, "previous": ""}) == [b"n" * 32]


@pytest.mark.parametrize(
    "secret", [{}, {"previous": "o" * 32}, {"current": "short"}, {"current": "n" * 32, "previous": "s"}]
)
def test_a_secret_without_a_good_key_is_none(secret: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        keys_of(secret)


def test_the_page_is_the_shops_else_the_deployments_and_has_the_token_in_it() -> None:
    assert page_url({}, "", "T") is None
    assert page_url({}, "https://shop.example/check/{token}", "T") == "https://shop.example/check/T"
    shops = {"address_review_page_url": "https://other.example/a#{token}"}
    assert page_url(shops, "https://shop.example/check/{token}", "T") == "https://other.example/a#T"


@pytest.mark.parametrize(
    "template", ["https://shop.example/check", "http://shop.example/{token}", "https://shop.example/{order_id}{token}"]
)
def test_a_page_that_cannot_have_the_link_is_none(template: str) -> None:
    with pytest.raises(ValueError, match=r"shop\.example"):
        valid_page(template)
