"""``python -m tests.released``: keep what is released now, so that the next release can be checked against it.

Three files are written beside this one: the OpenAPI document, what the roles of the application may call and write in
the database, and the rows and cold files of a furnished shop. Run it when making a release (``make keep-release``), in
the commit that is tagged, and at no other time: it forgives every break since the last release.
"""

import base64
import json
from dataclasses import replace

from local.documented import DOCUMENT as CURRENT_DOCUMENT
from tests.archive.scenes import objects
from tests.database.acting import connected
from tests.furnished import furnish
from tests.fuzz.stage import open_stage
from tests.released.contract import contract_of
from tests.released.data import CONTRACT, DOCUMENT, ROWS, keep, rows_of


def main() -> None:
    """Write the three files."""
    with open_stage() as stage, stage.shops() as (house, _):
        furnish(house)
        superuser = replace(stage.postgres.admin, database=house.owner.database)
        revision = house.value("SELECT version_num FROM public.schema_version")
        with connected(superuser) as connection:
            release = {
                "revision": revision,
                "made_at": house.clock.now.isoformat(),
                "organization_id": str(house.organization_id),
                "rows": rows_of(connection),
                "cold_storage": {key: base64.b64encode(body).decode() for key, body in objects(house).items()},
            }
            keep(ROWS, release)
            keep(CONTRACT, contract_of(connection))
    keep(DOCUMENT, json.loads(CURRENT_DOCUMENT.read_text()))


if __name__ == "__main__":
    main()
