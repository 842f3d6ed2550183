"""Where shoppers return to after acting at a gateway: an address of the shop, and nothing else."""

from uuid import UUID

import pytest

from holdfast.settings import settings_from
from holdfast.values.return_url import return_url_of, valid_template

ORDER = UUID("01930000-0000-7000-8000-0000000000d1")
GOOD = [
    "https://shop.example",
    "https://shop.example/",
    "https://shop.example:8443/thanks/{order_id}?from=bank#top",
    "https://shop.example/{order_id}/{order_id}",
    "http://localhost:3000/thanks?order={order_id}",
    "http://127.0.0.1/thanks",
    "https://shop.example/a|b~c",
]
BAD = [
    "",
    "shop.example/thanks",
    "http://shop.example/thanks",
    "https://",
    "https://user:secret@shop.example/",
    "https://shop.example?order={order_id}",
    "https://shop.example/{customer_id}",
    "https://shop.example/{order_id",
    "https://shop.example/a b",
    "https://shop.example/\n",
    "https://shop.example/\u00e9",
    "javascript:alert(1)",
    "http://localhost.evil.example/",
    "https://shop.example/" + "a" * 1000,
]


@pytest.mark.parametrize("template", GOOD)
def test_an_address_of_a_shop_is_one(template: str) -> None:
    assert valid_template(template) == template
    made = return_url_of({"storefront_return_url": template}, "https://other.example", ORDER)
    assert made == template.replace("{order_id}", str(ORDER))


@pytest.mark.parametrize("template", BAD)
def test_anything_else_is_none(template: str) -> None:
    with pytest.raises(ValueError, match="come back"):
        valid_template(template)


def test_a_shop_that_says_nothing_has_the_deployments_and_a_deployment_may_say_nothing() -> None:
    assert return_url_of({}, "https://shop.example/{order_id}", ORDER) == f"https://shop.example/{ORDER}"
    assert return_url_of({}, "", ORDER) is None


def test_a_deployment_with_a_bad_one_does_not_start() -> None:
    settings = {"DATABASE_HOST": "nowhere"}
    assert settings_from(settings).storefront_return_url == ""
    with pytest.raises(ValueError, match="STOREFRONT_RETURN_URL"):
        settings_from({**settings, "STOREFRONT_RETURN_URL": "http://shop.example"})
