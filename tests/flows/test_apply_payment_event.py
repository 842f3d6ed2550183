from tests.house import House, document


def test_a_webhook_that_repeats_the_answer_changes_nothing(house: House) -> None:
    house.add_variant(stock=10)
    order = document(house.place({"TEE": 2}))["order"]
    (webhook,) = house.webhooks("payment_intent.succeeded")
    assert house.deliver(webhook) == 1
    assert house.deliver(webhook) == 0
    assert house.work() == ["processed"]
    assert house.timeline(order["id"])[-1] == "confirmed"
    assert house.stock() == {"EWR": (8, 0)}
    assert house.charges()["charges_captured"] == 1
    assert house.violations() == []
