"""Every call in every setting, and the sentence that follows."""

import dataclasses
import time
from collections.abc import Iterator

import torch

from veriformer.comparison.gradients import GRADIENTS, gradients
from veriformer.comparison.likeness import likeness
from veriformer.comparison.made import SETTINGS, SETTINGS_COMPILED, Call, Setting
from veriformer.comparison.parting import parting
from veriformer.comparison.result import Comparison, Likeness, Parting, Run
from veriformer.comparison.trial import Trial, World
from veriformer.outcome import SubjectError
from veriformer.precision import LeakWatch, rounded_buffers

MOST_COMPILED = 4
"""Calls that are put to a compiled module: each shape is compiled anew."""


def judged(world: World, old: str, new: str) -> Comparison:
    """Put every call to both, and say how alike they are."""
    begun = time.perf_counter()
    runs: list[Run] = []
    first: tuple[Trial, Setting, str] | None = None
    notes = list(world.notes)
    for kind in world.kinds():
        for dtype in (torch.float64, torch.float32):
            trial = world.trial(kind, dtype)
            if trial is None:
                continue
            compiled = trial.old.compiled or trial.new.compiled
            if compiled and len({run.call for run in runs} - {kind}) >= MOST_COMPILED:
                continue
            leak = "" if compiled or dtype is not torch.float64 else _narrow(trial)
            if leak and leak not in notes:
                notes.append(leak)
            for setting in _settings(dtype, compiled=compiled, leak=leak):
                run = _run(trial, setting, leak=bool(leak))
                runs.append(run)
                if run.likeness is Likeness.DIFFERS and first is None:
                    first = (trial, setting, kind)
            if dtype is torch.float64 and not compiled and not leak:
                runs += gradients(trial, _run_of)
    if all("raised" in run.reason and run.likeness is Likeness.EQUAL for run in runs):
        raise SubjectError(runs[0].reason if runs else "neither can be built at any size", origin="call")
    point, case = _located(world, first) if first is not None else (None, "")
    likeness_found = _overall(world, runs)
    return Comparison(
        old=old,
        new=new,
        role=world.role,
        likeness=likeness_found,
        said=_said(likeness_found, runs),
        state=world.state,
        runs=runs,
        state_differences=_told_of_states(world),
        notes=notes,
        case=case,
        parting=point,
        seconds=time.perf_counter() - begun,
    )


def _settings(dtype: torch.dtype, *, compiled: bool, leak: str) -> Iterator[Setting]:
    yield from (each for each in (SETTINGS_COMPILED if compiled else SETTINGS) if each.dtype is dtype)
    if leak and "table" not in leak:
        yield Setting(dtype, widened=True)


def _narrow(trial: Trial) -> str:
    """Where one of the two computes in a narrower dtype inside, as a sentence; empty where neither does."""
    for made in (trial.old, trial.new):
        tables = [] if made.module is None else rounded_buffers(made.module)
        if tables:
            return f"{made.name} keeps a table made in a narrower dtype ({tables[0]}): judged by float32's rounding"
        watch = LeakWatch()
        try:
            with watch:
                made(trial.call, Setting(torch.float64))
        except SubjectError:
            continue
        if watch.leaks:
            return f"{made.name} computes in float32 inside ({watch.leaks[0]}): judged by float32's rounding, and once with that made float64"
    return ""


def _run(trial: Trial, setting: Setting, *, leak: bool) -> Run:
    """One call of both in one setting; where both raise, they are alike in that."""
    outputs: list[object] = []
    raised: list[str] = []
    for made in (trial.old, trial.new):
        try:
            outputs.append(_specified(made(trial.call, setting), trial.call))
        except SubjectError as error:
            raised.append(str(error))
    if len(raised) == 2:
        return _run_of(trial, setting, (Likeness.EQUAL, 0.0, f"both raise: {raised[0]}"))
    if raised:
        return _run_of(trial, setting, (Likeness.DIFFERS, float("inf"), raised[0]))
    rounds_to = torch.float32 if leak and not setting.widened else setting.dtype
    exact = dataclasses.replace(setting, grad=False)

    def again() -> object:
        return _specified(trial.old(trial.call, exact), trial.call)

    return _run_of(trial, setting, likeness(*outputs, rounds_to=rounds_to, again=None if trial.old.compiled else again))


def _run_of(trial: Trial, setting: Setting, found: tuple[Likeness, float, str], what: str = "") -> Run:
    alike, units, reason = found
    call = f"{trial.call.words}{what}"
    return Run(call=call, setting=str(setting), likeness=alike, units=units, reason=reason)


def _specified(output: object, call: Call) -> object:
    return call.specified(output) if isinstance(output, torch.Tensor) else output


def _located(world: World, first: tuple[Trial, Setting, str]) -> tuple[Parting | None, str]:
    """The first point where they part, and the smallest case at which they do."""
    trial, setting, kind = first

    def differs(other: Trial) -> bool:
        return _run(other, setting, leak=False).likeness is Likeness.DIFFERS

    point = parting(trial.old, trial.new, trial.call, setting, named=world.named(trial, setting))
    if trial.old.compiled or trial.new.compiled:
        return point, trial.call.case
    small = world.smallest(trial, kind, setting.dtype, differs)
    if point is None:
        return None, small.call.case
    again = parting(small.old, small.new, small.call, setting)
    if again is not None and again.at == point.at:  # the small one has names that coincide: the large one's are kept
        parts = {name: getattr(again, name) for name in ("difference", "old", "new", "index")}
        point = Parting(after=point.after, at=point.at, there=point.there, named=point.named, **parts)
    return point, small.call.case


def _overall(world: World, runs: list[Run]) -> Likeness:
    found = {run.likeness for run in runs}
    if Likeness.DIFFERS in found or any(each.startswith("buffer") and "other values" in each for each in _built(world)):
        return Likeness.DIFFERS
    return Likeness.WITHIN_ROUNDING if Likeness.WITHIN_ROUNDING in found else Likeness.EQUAL


def _built(world: World) -> list[str]:
    """What differs between two builds; what two instances hold may differ, and is only told."""
    own = getattr(world, "own", False)
    return [] if own else world.state_differences


def _told_of_states(world: World) -> list[str]:
    """What differs of the states; where they were not copied by name, other names are no news."""
    by_name = world.state.startswith("by name")
    return [each for each in world.state_differences if by_name or not each.endswith("alone")]


def _said(found: Likeness, runs: list[Run]) -> str:
    """The sentence at the top."""
    count = len(runs)
    if found is Likeness.EQUAL:
        return f"equal, bit for bit, in {count} runs"
    if found is Likeness.WITHIN_ROUNDING:
        worst = max(run.units for run in runs)
        exact = sum(run.likeness is Likeness.EQUAL for run in runs)
        return f"equal within rounding: {exact} of {count} runs bit for bit, the others up to {worst:.2g} units of rounding apart"
    differing = [run for run in runs if run.likeness is Likeness.DIFFERS]
    if not differing:
        return "differs in what is stored, and computes the same once the state is copied"
    calls = list(dict.fromkeys(run.call for run in differing))
    calls = [call for call in calls if not call.endswith(GRADIENTS) or call.removesuffix(GRADIENTS) not in calls]
    every = dict.fromkeys(run.call for run in runs if not run.call.endswith(GRADIENTS))
    same = [call for call in every if call not in calls]
    alone = f"; not on {', '.join(same[:4])}{' and others' if len(same) > 4 else ''}" if same else ""
    shown = ", ".join(calls[:4]) + (f" and {len(calls) - 4} more" if len(calls) > 4 else "")
    return f"differs in {len(differing)} of {count} runs: on {shown}{alone}"
