"""Documents of every schema version ever written stay readable, verifiable and restorable.

``documents/`` has a sample of each version: a document as it was archived, its checksum, and its customer's wrapped
key. A new version adds a sample (``write_sample``); existing samples are never changed.
"""

import json
from pathlib import Path
from uuid import UUID

import pytest

from holdfast.archive.document import (
    READABLE_SCHEMAS,
    UnreadableDocument,
    opened,
    parse,
    view_of,
)
from holdfast.archive.merkle import batch_root, checksum, leaf_hash, merkle_root
from holdfast.archive.policy import DOCUMENT_SCHEMA
from holdfast.archive.sealing import BrokenSeal, Keyring
from tests.archive.canonical import canonical_text, parse_exactly
from tests.archive.scenes import SECRET, archive, delivered, documents, years_pass
from tests.house import House

SAMPLES = sorted((Path(__file__).parent / "documents").glob("*.json"))


def test_every_readable_version_has_its_sample() -> None:
    assert {int(path.stem) for path in SAMPLES} == READABLE_SCHEMAS
    assert DOCUMENT_SCHEMA in READABLE_SCHEMAS


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_verified_opened_and_shown(path: Path) -> None:
    sample = json.loads(path.read_text())
    text = sample["document"]
    assert checksum(text).hex() == sample["checksum"]
    assert canonical_text(parse_exactly(text)) == text
    document = parse(text)
    order = document["order"]
    ids = (UUID(order["organization_id"]), UUID(order["customer_id"]), UUID(order["id"]))
    keyring = Keyring(SECRET["key"])
    personal = json.loads(keyring.unseal(document["personal"], *ids, bytes.fromhex(sample["wrapped_key"])))
    view = view_of(opened(document, personal), {})
    assert {name: view[name] for name in sample["view"]} == sample["view"]
    assert keyring.seal(canonical_text(personal), *ids, bytes.fromhex(sample["wrapped_key"])) == document["personal"]
    erased = view_of(opened(document, None), {})
    assert (erased["email"], erased["amounts"]) == ("erased", view["amounts"])


def test_what_was_altered_or_moved_does_not_open() -> None:
    sample = json.loads(SAMPLES[0].read_text())
    document = parse(sample["document"])
    order = document["order"]
    ids = (UUID(order["organization_id"]), UUID(order["customer_id"]), UUID(order["id"]))
    key = bytes.fromhex(sample["wrapped_key"])
    keyring = Keyring(SECRET["key"])
    for moved in (0, 1, 2):
        others = tuple(UUID(int=7) if place == moved else id_ for place, id_ in enumerate(ids))
        with pytest.raises(BrokenSeal):
            keyring.unseal(document["personal"], *others, key)
    with pytest.raises(BrokenSeal):
        keyring.unseal("AAAA" + document["personal"][4:], *ids, key)
    with pytest.raises(BrokenSeal):
        Keyring("another secret, and as long as it has to be").unseal(document["personal"], *ids, key)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"schema": 0}', '{"schema": 999}', '{"order": {}}'])
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(UnreadableDocument):
        parse(text)


def test_the_database_and_the_code_compute_the_same_roots(house: House) -> None:
    for count in (1, 2, 3, 5, 8, 13):
        leaves = [leaf_hash(UUID(int=n), n, checksum(str(n))) for n in range(count)]
        assert bytes(house.value("SELECT archive.merkle_root(CAST(:l AS bytea[]))", l=leaves)) == merkle_root(leaves)
    delivered(house, 3)
    years_pass(house)
    archive(house)
    [batch] = house.rows("SELECT * FROM archive.archive_batches")
    rows = house.rows("SELECT order_id, version, checksum FROM archive.batch_leaves ORDER BY order_id")
    merkle = merkle_root([leaf_hash(row["order_id"], row["version"], bytes(row["checksum"])) for row in rows])
    assert bytes(batch["merkle_root"]) == merkle
    assert bytes(batch["root"]) == batch_root(bytes(32), 1, batch["id"], 3, merkle)


def test_a_sample_of_the_present_version_is_what_is_written_now(house: House) -> None:
    """Both have the same parts with the same columns. A change of the document's shape needs a new version."""
    delivered(house)
    years_pass(house)
    archive(house)
    [document] = documents(house).values()
    now, then = parse(document), parse(json.loads(SAMPLES[-1].read_text())["document"])
    assert shape(now) == shape(then)


def shape(document: dict[str, object]) -> dict[str, object]:
    def keys(value: object) -> object:
        if isinstance(value, list):
            return sorted({key for row in value for key in row})
        return sorted(value) if isinstance(value, dict) else type(value).__name__

    return {part: keys(value) for part, value in document.items()}


def write_sample(house: House, folder: Path) -> None:
    """Write an order in the present version as a sample."""
    [order_id] = delivered(house)
    view = house.order(order_id)
    years_pass(house)
    archive(house)
    [document] = documents(house).values()
    names = ("order_number", "email", "amounts", "status", "shipping_address")
    sample = {
        "document": document,
        "checksum": checksum(document).hex(),
        "wrapped_key": bytes(house.value("SELECT wrapped_key FROM archive.customer_keys")).hex(),
        "view": {name: view[name] for name in names},
    }
    (folder / f"{DOCUMENT_SCHEMA}.json").write_text(json.dumps(sample, indent=2) + "\n")
