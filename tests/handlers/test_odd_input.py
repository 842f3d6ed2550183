"""Input that looks odd and is valid."""

import base64
import json

from tests.handlers.door import ADDRESS, Door, checkout_body


def test_a_checkout_takes_what_people_are_called(door: Door) -> None:
    door.house.add_variant(stock=10)
    names = [
        "Zo\u00eb \u00d8stergaard",
        "\u5f20\u4f1f",
        "\u0645\u062d\u0645\u062f",
        "\U0001f469\u200d\U0001f680",
        "Z\u0351\u0340\u0300",
    ]
    for name in names:
        reply = door.ask("POST /v1/checkout", checkout_body(shipping_address=ADDRESS | {"name": name}))
        assert reply.status == 201
        assert reply.body["order"]["shipping_address"]["name"] == name


def test_a_base64_body_and_a_missing_content_type_are_fine(door: Door) -> None:
    door.house.add_variant(stock=10)
    text = base64.b64encode(json.dumps(checkout_body()).encode()).decode()
    encoded = door.ask(
        "POST /v1/checkout", text, base64_encoded=True, headers={"Content-Type": "Application/JSON; charset=UTF-8"}
    )
    assert encoded.status == 201


def test_an_order_says_where_it_was_placed(door: Door) -> None:
    door.house.add_variant(stock=10)
    for said, source in (({"source": "web"}, "web"), ({"source": "mobile"}, "mobile"), ({}, "api")):
        order = door.ask("POST /v1/checkout", checkout_body(**said)).body["order"]
        found = door.ask("GET /v1/orders/{reference}", reference=order["id"]).body["order"]
        assert (order["source"], found["source"]) == (source, source)


def test_the_same_variant_twice_is_one_line(door: Door) -> None:
    variant = door.house.add_variant(stock=10)
    twice = [{"sku": "TEE", "quantity": 2}, {"variant_id": str(variant), "quantity": 3}]
    reply = door.ask("POST /v1/checkout", checkout_body(items=twice))
    assert [line["quantity"] for line in reply.body["order"]["items"]] == [5]
    assert door.house.violations() == []
