"""What no catalogue foresaw: correct modules are left alone, and wrong ones are found without a name that is not theirs."""

import pytest

from self_tests.unusual import CORRECT, WRONG
from veriformer.declaration import Build
from veriformer.diagnosis import diagnose
from veriformer.faults.fault import declared
from veriformer.faults.matrix import verdicts_in_turn
from veriformer.preflight import prepared
from veriformer.verdict import Status
from veriformer_spec.chapters import CLAUSES
from veriformer_spec.clause import Level

OPEN = (Status.PASS, Status.NOT_CHECKED, Status.INCONCLUSIVE)


@pytest.mark.parametrize("name", CORRECT)
def test_a_correct_unusual_module_fails_nothing(name: str) -> None:
    """Not understood is not wrong: a clause may stay open, and none may fail."""
    seen = {
        each.clause: each.evidence.message if each.evidence else each.reason
        for each in verdicts_in_turn(declared(CORRECT[name]), CLAUSES.values())
        if each.level == Level.MUST and each.status not in OPEN
    }
    assert seen == {}


def found(build: Build) -> bool:
    """Whether some MUST failed, or stayed open that says that the weights were not understood."""
    return any(
        each.level == Level.MUST and each.status not in (Status.PASS, Status.NOT_CHECKED)
        for each in verdicts_in_turn(declared(build), CLAUSES.values())
    )


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_module_that_is_in_no_catalogue_is_found_and_not_named(name: str) -> None:
    """The exit code is not 0, and no catalogued fault is said to be it."""
    assert found(WRONG[name])
    findings = diagnose(prepared(declared(WRONG[name])).subject, []).findings
    assert not [each.name for each in findings if each.exact and each.faults]
