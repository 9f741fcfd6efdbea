"""Train small models of the reference to copy, rightly and with two mistakes in the loss; run by ``nox -s learn``.

The right trainings must copy texts that they have never seen. The two mistakes crash nothing, and in both of them the loss
falls: with the padding mask inverted the model learns to write padding, and without the shift by one it learns to repeat what
it reads. Exit code 0 only if the right ones copy, and each mistake is called by its name.
"""

import argparse
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from veriformer import learning
from veriformer.adapters import reference
from veriformer.case import Case
from veriformer.faults.catalogue import FAULTS
from veriformer.faults.matrix import QUICK, can_run, fault_rows
from veriformer.judge import Effort
from veriformer.learning import Learned, Loss, Verdict
from veriformer.request import EXAMPLES
from veriformer.subjects import Subject
from veriformer_reference import training
from veriformer_spec.config import Config
from veriformer_spec.role import Role

SHIFTED = Config(label_smoothing=0.0, shifts=True)
UNSHIFTED = Config(label_smoothing=0.0, shifts=False)


def right(logits: Tensor, ids: Tensor, real: Tensor) -> Tensor:
    """The reference's own loss, over real tokens, shifted by one."""
    return training.loss(logits, ids, real, SHIFTED)


def inverted_padding(logits: Tensor, ids: Tensor, real: Tensor) -> Tensor:
    """The mask of another convention: True at padding."""
    return training.loss(logits, ids, ~real, SHIFTED)


def no_shift(logits: Tensor, ids: Tensor, real: Tensor) -> Tensor:
    """The logits at a position against the id that stands there."""
    return training.loss(logits, ids, real, UNSHIFTED)


class Training(NamedTuple):
    """One line of the report, one curve of the drawing."""

    name: str
    role: Role
    claims: Mapping[str, object]
    loss: Loss
    expected: Verdict
    steps: int
    colour: str


_LANGUAGE = {"positions": "sinusoidal"}
TRAININGS = (
    Training("causal language model", Role.CAUSAL_LM, _LANGUAGE, right, Verdict.COPIES, 1200, "#1b6ca8"),
    Training("recurrent encoder-decoder", Role.ENCODER_DECODER, {"cell": "gru"}, right, Verdict.COPIES, 600, "#2a9d5c"),
    Training(
        "padding inverted in the loss", Role.CAUSAL_LM, _LANGUAGE, inverted_padding, Verdict.COLLAPSES, 200, "#c1440e"
    ),
    Training("no shift by one", Role.CAUSAL_LM, _LANGUAGE, no_shift, Verdict.REPEATS, 200, "#8e5ea2"),
)


def run(each: Training, seed: int) -> Learned:
    """One training, in float32, from the reference's own first weights."""
    subject = Subject(reference.declaration(each.role, **each.claims), dtype=torch.float32, rounds_to=torch.float32)
    case = Case(
        role=each.role, batch=1, q_len=12, k_len=12, context=12, d_model=32, heads=4, kv_heads=4, d_value=8, d_ff=64, layers=2,
        vocab=11, seed=seed,
    )  # fmt: skip
    instance = subject.instance(case, random_weights=False)
    return learning.learn_to_copy(instance, loss=each.loss, steps=each.steps, seconds=120, seed=seed)


WIDTH, HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 760, 360, 56, 24, 44, 16
MOST_POINTS = 240


def smoothed(curve: tuple[float, ...]) -> list[tuple[int, float]]:
    """Steps and the mean loss around them, few enough to draw."""
    width = max(1, len(curve) // MOST_POINTS)
    parts = [(at, curve[at : at + width]) for at in range(0, len(curve), width)]
    return [(at, sum(part) / len(part)) for at, part in parts]


def drawing(results: list[tuple[Training, Learned]]) -> str:
    """The loss curves as one SVG, with what each training came to beside its name."""
    longest = max(len(learned.curve) for _, learned in results)
    highest = max(max(learned.curve) for _, learned in results)

    def x(step: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * step / longest

    def y(loss: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - loss / highest)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        "<title>Loss while learning to copy</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
    ]
    for loss in range(int(highest) + 1):
        lines.append(f'<path d="M{LEFT} {y(loss):.1f}H{WIDTH - RIGHT}" stroke="#dddddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss}</text>')
    lines.extend(
        f'<text x="{x(step):.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>'
        for step in range(0, longest + 1, 100)
    )
    lines.append(f'<text x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 8}" text-anchor="middle">step</text>')
    lines.append(f'<text x="8" y="{TOP - 8}">loss, in nats a token</text>')
    for place, (each, learned) in enumerate(results):
        points = " ".join(f"{x(step):.1f},{y(loss):.1f}" for step, loss in smoothed(learned.curve))
        lines.append(f'<polyline points="{points}" fill="none" stroke="{each.colour}" stroke-width="1.6"/>')
        said = f"{each.name}: {learned.verdict}"
        at = TOP + 16 + 18 * place
        lines.append(f'<text x="{WIDTH - RIGHT - 8}" y="{at}" text-anchor="end" fill="{each.colour}">{said}</text>')
    return "\n".join([*lines, "</svg>", ""])


def main() -> int:
    """Run every training, print a verdict for each, and draw the curves where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", type=Path, metavar="FILE", help="draw the loss curves there, as SVG")
    parser.add_argument("--faults", action="store_true", help="judge the catalogue's faults that only training can see")
    options = parser.parse_args()
    torch.set_num_threads(1)
    results, good, started = [], True, time.perf_counter()
    for each in TRAININGS:
        before = time.perf_counter()
        learned = run(each, options.seed)
        results.append((each, learned))
        as_expected = learned.verdict is each.expected
        good = good and as_expected
        print(
            f"{'ok ' if as_expected else 'BAD'} {each.name}: {learned.verdict}"
            f"\n      unseen texts copied exactly {learned.copied:.0%}, collapsed {learned.collapsed:.0%}, repeated "
            f"{learned.repeated:.0%}; loss {learned.curve[0]:.2f} -> {learned.curve[-1]:.3f} nats in {len(learned.curve)} steps, "
            f"{time.perf_counter() - before:.0f} s",
            flush=True,
        )
    if options.write:
        options.write.write_text(drawing(results), encoding="utf-8")
        print(f"wrote {options.write}")
    for fault in FAULTS.values() if options.faults else ():
        if not any(can_run(clause, QUICK) for clause in fault.clauses):  # too dear for the kill matrix of every day
            for row in fault_rows(fault, every_clause=False, effort=Effort(examples=EXAMPLES["deep"], shrink=False)):
                good = good and not row.survived
                said = f"survives {', '.join(row.survived)}" if row.survived else f"dies by {', '.join(row.killed_by)}"
                print(f"{'BAD' if row.survived else 'ok '} {row.id}: {row.subject} {said}", flush=True)
    print(f"{'as expected' if good else 'NOT as expected'}, {time.perf_counter() - started:.0f} s")
    return int(not good)


if __name__ == "__main__":
    sys.exit(main())
