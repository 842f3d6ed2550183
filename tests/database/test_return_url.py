"""The database accepts the same return URLs as the code."""

import json

from holdfast.values.return_url import valid_template
from tests.database.acting import APP, CHECK_VIOLATION, acting, refusal
from tests.database.conftest import TwoShops
from tests.domains.test_return_url import BAD, GOOD

SET = "UPDATE tenancy.organizations SET settings = CAST(:settings AS jsonb)"


def test_the_databases_rule_is_the_codes_rule(shops: TwoShops) -> None:
    refused = (CHECK_VIOLATION, "organizations_return_url_form")
    with acting(shops.superuser, APP, shops.a.organization_id) as connection:
        for template in (*GOOD, *BAD):
            found = refusal(connection, SET, settings=json.dumps({"storefront_return_url": template}))
            assert found == (None if is_valid(template) else refused), template
        for value in (None, 7, {}, []):
            assert refusal(connection, SET, settings=json.dumps({"storefront_return_url": value})) == refused
        assert refusal(connection, SET, settings="{}") is None


def is_valid(template: str) -> bool:
    try:
        valid_template(template)
    except ValueError:
        return False
    return True
