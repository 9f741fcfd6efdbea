"""Chances: when a count of random draws is too far from its probability to be an accident.

**The false alarm, bounded.** Of ``n`` independent draws of probability ``p``, a share ``q`` or one further from ``p`` on the same
side comes up with probability at most ``exp(-n KL(q, p))``, where ``KL(q, p) = q ln(q/p) + (1-q) ln((1-q)/(1-p))``: Chernoff's bound
(1952, theorem 1; Hoeffding 1963, theorem 1), which holds for every ``n`` and needs no normal approximation. Both sides together make
twice that. One comparison fails a correct subject with probability at most ``FALSE_ALARM / COMPARISONS``; by the union bound a whole
run of up to ``COMPARISONS`` comparisons does so with probability at most ``FALSE_ALARM``, whatever hangs together with what.
"""

import math

from veriformer.outcome import Violation

FALSE_ALARM = 1e-9
"""The probability with which a whole run may call a correct random subject wrong."""
COMPARISONS = 2**17
"""More than any run makes: 400 cases of dropout with 80 comparisons, and 128 of each of three ways to sample with 30, are a third."""
SURPRISE = math.log(2 * COMPARISONS / FALSE_ALARM)
"""Nats of ``n KL(q, p)`` beyond which a count is no accident: about 33."""


def divergence(share: float, probability: float) -> float:
    """``KL(share, probability)`` of two yes-or-no distributions, in nats; infinite where the impossible happened."""
    parts = ((share, probability), (1 - share, 1 - probability))
    if any(seen > 0 and expected <= 0 for seen, expected in parts):
        return math.inf
    return sum(seen * math.log(seen / expected) for seen, expected in parts if seen > 0)


def require_likely(count: int, draws: int, probability: float, message: str) -> None:
    """Fail if ``count`` of ``draws`` cannot be an accident at ``probability``; false alarms as the module says.

    Args:
        message: what was counted.

    Raises:
        Violation: it is no accident.
    """
    surprise = draws * divergence(count / draws, probability)
    if surprise > SURPRISE:
        raise Violation(
            f"{message}: {count} of {draws} draws, where {probability * draws:.1f} are expected",
            margin=f"an accident as large has a probability below {2 * math.exp(-min(surprise, 700)):.1g}",
        )
