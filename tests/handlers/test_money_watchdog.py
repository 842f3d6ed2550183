"""A run of the money watchdog in which an organization failed ends with an error, once everything else is done."""

import pytest

from tests.handlers.door import Door


def test_a_run_that_could_not_look_after_an_organization_fails_and_has_counted_before(
    door: Door, capsys: pytest.CaptureFixture[str]
) -> None:
    door.house.sql("ALTER TABLE payments.money_sweeps ADD CONSTRAINT closed CHECK (false)")
    with pytest.raises(RuntimeError, match="of 1 organizations"):
        door.invoke("money_watchdog", door.sample("money_watchdog/tick"), seconds=60)
    told = capsys.readouterr().out
    assert all(metric in told for metric in ("PaymentsReconciled", "MoneyDifferencesOpen", "DisputesDueSoon"))
