"""``make verify-archive`` proves the whole archive, and names what it cannot prove."""

from local.archive import verify_with
from tests.archive.scenes import archive, delivered, years_pass
from tests.house import House


def test_the_command_tells_the_whole_chain_and_its_first_break(house: House) -> None:
    delivered(house, 2)
    years_pass(house)
    archive(house, batch_max_orders=1)
    told, proven = verify_with(house.system)
    assert proven
    assert told[0].startswith(f"{house.organization_id}: 2 batches, 2 orders, the chain is whole; its root is ")
    house.sql("UPDATE archive.archive_batches SET root = sha256('other') WHERE chain_position = 2")
    house.sql("UPDATE archive.archived_orders SET document = replace(document, 'TEE', 'TOE')")
    told, proven = verify_with(house.system)
    assert not proven
    batch_id = house.value("SELECT id FROM archive.archive_batches WHERE chain_position = 2")
    assert told[0] == (
        f"{house.organization_id}: the chain breaks first at position 2, batch {batch_id}:"
        " its root is not the one of what it holds"
    )
    assert told[1] == "2 orders in 2 batches: 2 are wrong"
    assert told[2].endswith("inconsistent, the archived document is not the one that was sealed")
