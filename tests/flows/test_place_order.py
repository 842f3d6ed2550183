from tests.house import House, document


def test_a_paid_checkout_ends_confirmed_with_its_stock_sold(house: House) -> None:
    house.add_variant(stock=10)
    answer = house.place({"TEE": 2})
    order = document(answer)["order"]
    assert answer.status == 201
    assert house.timeline(order["id"]) == ["pending_payment", "payment_processing", "payment_confirmed", "confirmed"]
    assert house.stock() == {"EWR": (8, 0)}
    assert house.violations() == []
