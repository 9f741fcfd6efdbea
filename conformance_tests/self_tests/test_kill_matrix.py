"""The kill matrix: every fault dies by its clauses, every near-miss lives, every clause kills."""

import pytest

from veriformer import traceability
from veriformer.adapters import builtin
from veriformer.declaration import Declaration
from veriformer.faults.catalogue import FAULTS, NEAR_MISSES
from veriformer.faults.fault import Fault, NearMiss
from veriformer.faults.matrix import QUICK, can_run, fault_rows, near_miss_row, verdicts_on
from veriformer.judge import Effort
from veriformer.request import EXAMPLES
from veriformer.verdict import Status
from veriformer_spec.chapters import CLAUSES


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_every_fault_dies_by_its_clauses(fault: Fault) -> None:
    """Each clause that a fault names must catch it by itself, at budget quick."""
    if not any(can_run(clause, QUICK) for clause in fault.clauses):
        pytest.skip("its clause takes long: judged by `nox -s learn`")
    rows = fault_rows(fault, every_clause=False)
    survived = [f"{row.subject} survives {', '.join(row.survived)}" for row in rows if row.survived]
    assert not survived, survived
    assert any(row.killed_by for row in rows), f"{fault.id} has no subject that a clause of its own applies to"


@pytest.mark.parametrize("near_miss", NEAR_MISSES.values(), ids=NEAR_MISSES)
def test_every_near_miss_lives(near_miss: NearMiss) -> None:
    """No MUST fails, errs or stays open on a correct subject, at budget standard."""
    row = near_miss_row(near_miss, Effort(examples=EXAMPLES["standard"], shrink=False))
    seen = [
        f"{each.clause}: {each.status} {each.reason} {each.evidence.message if each.evidence else ''}"
        for each in row.verdicts
        if each.clause in row.killed_by
    ]
    assert not seen, seen


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_clause_kills(clause: str) -> None:
    """A clause that kills nothing is a defect, and so is one whose faults are all of one style."""
    thread = next(each for each in traceability.table() if each.clause.id == clause)
    assert thread.properties
    assert thread.faults
    assert thread.near_misses
    assert thread.foreign or clause in traceability.WITHOUT_A_FOREIGN_FAULT


def test_every_thread_holds() -> None:
    """No orphan clause, property, fault or near-miss; no sentence that changed under its property."""
    assert list(traceability.problems()) == []


@pytest.mark.parametrize("declaration", builtin.subjects(), ids=lambda each: each.name)
def test_built_in_subjects_conform(declaration: Declaration) -> None:
    """The reference and torch.nn hold every MUST, but for the failures expected of them, with their reasons."""
    verdicts = verdicts_on(declaration, CLAUSES.values(), Effort(examples=EXAMPLES["standard"], shrink=False))
    bad = [
        f"{each.clause}: {each.status} {each.reason} {each.evidence.message if each.evidence else ''}"
        for each in verdicts
        if each.level == "MUST"
        and each.status in (Status.FAIL, Status.ERROR, Status.INCONCLUSIVE)
        and each.clause not in declaration.expected_failures
    ]
    assert not bad, bad


def test_a_fault_is_patched_in_only_while_the_subject_runs() -> None:
    """The oracle in the same process never sees a planted fault."""
    import veriformer_reference.heads as heads

    honest = heads.merge
    fault = next(each for each in FAULTS.values() if any(target == "heads.merge" for target, _ in each.patches))
    declaration = fault.subjects()[0]
    assert declaration.during is not None
    with declaration.during():
        assert heads.merge is not honest
    assert heads.merge is honest
