"""Learning tells what a training came to; the trainings themselves are short here, and long in ``nox -s learn``."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from veriformer import learning
from veriformer.adapters import reference
from veriformer.case import Case
from veriformer.declaration import Declaration
from veriformer.learning import Alphabet, Learned, Verdict
from veriformer.outcome import NotChecked, SubjectError
from veriformer.subjects import Instance, Subject
from veriformer_spec.config import validated
from veriformer_spec.role import Role

ALPHABET = Alphabet.of(vocab=11, pad=0)
Say = Callable[[list[int]], int]
"""The id that follows a text."""


@pytest.fixture(autouse=True)
def _few_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "TESTED", 8)
    monkeypatch.setattr(learning, "BATCH", 8)


def subject_of(declaration: Declaration) -> Subject:
    return Subject(declaration, dtype=torch.float32, rounds_to=torch.float32)


def instance_of(declaration: Declaration) -> Instance:
    role = declaration.role
    case = Case(
        role=role, batch=1, q_len=12, k_len=12, context=12, d_model=16, heads=2, kv_heads=2, d_value=8, d_ff=16, layers=1, vocab=11
    )  # fmt: skip
    return subject_of(declaration).instance(case, random_weights=False)


class Oracle(nn.Module):
    """Knows what to write, and learns nothing: a language model that reads its own prompt, with one idle weight."""

    def __init__(self, say: Say) -> None:
        super().__init__()
        self.idle = nn.Parameter(torch.zeros(()))
        self.say = say
        self.masks: list[Tensor | None] = []

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        self.masks.append(mask)
        logits = torch.full((*ids.shape, 11), -20.0)
        for row, text in enumerate(ids.tolist()):
            for place in range(len(text)):
                logits[row, place, self.say(text[: place + 1])] = 20.0
        return logits + self.idle


def oracle(say: Say, **claims: object) -> Instance:
    """It, as a subject."""
    declaration = Declaration(
        name="oracle", role=Role.CAUSAL_LM, build=lambda _: Oracle(say), claims=validated(Role.CAUSAL_LM, claims)
    )
    return instance_of(declaration)


def copy(text: list[int]) -> int:
    """The word that stands as far before the beginning of the copy as the next one behind it."""
    if ALPHABET.go not in text:
        return ALPHABET.pad
    words, written = text[: text.index(ALPHABET.go)], text[text.index(ALPHABET.go) + 1 :]
    return words[len(written)] if len(written) < len(words) else ALPHABET.end


def test_the_right_texts_are_called_copies() -> None:
    learned = learning.learn_to_copy(oracle(copy), steps=1)
    assert (learned.copied, learned.collapsed, learned.repeated) == (1.0, 0.0, 0.0)
    assert learned.verdict is Verdict.COPIES
    assert len(learned.curve) == 1
    assert not learned.out_of_time


def test_it_stops_once_the_copies_are_known() -> None:
    assert len(learning.learn_to_copy(oracle(copy), steps=100).curve) == learning.SURE


@pytest.mark.parametrize(
    ("say", "verdict"),
    [
        (lambda _: ALPHABET.end, Verdict.COLLAPSES),
        (lambda _: ALPHABET.pad, Verdict.COLLAPSES),
        (lambda text: text[-1], Verdict.REPEATS),
        (lambda text: text[0], Verdict.FAILS),
        (lambda text: copy(text) if text[0] % 4 else 5, Verdict.PARTLY),
    ],
)
def test_each_failure_has_its_name(say: Say, verdict: Verdict) -> None:
    assert learning.learn_to_copy(oracle(say), steps=1).verdict is verdict


def test_padding_is_passed_where_it_is_accepted() -> None:
    for kinds in (("none", "padding"), ("none",)):
        instance = oracle(copy, masks=kinds)
        learning.learn_to_copy(instance, steps=2)
        assert isinstance(instance.module, Oracle)
        assert {mask is not None for mask in instance.module.masks} == {"padding" in kinds}


def test_the_time_may_be_over() -> None:
    learned = learning.learn_to_copy(oracle(copy), steps=5, seconds=-1.0)
    assert learned.out_of_time
    assert learned.curve == ()


@pytest.mark.parametrize(("role", "claims"), [(Role.ENCODER_DECODER, {"cell": "gru"}), (Role.CAUSAL_LM, {})])
def test_the_loss_falls(role: Role, claims: dict[str, object]) -> None:
    """A hundred steps of a tiny model of the reference: the way there is right, if not yet the goal."""
    curve = learning.learn_to_copy(instance_of(reference.declaration(role, **claims)), steps=100).curve
    assert sum(curve[-10:]) / 10 < sum(curve[:10]) / 10 - 0.2


def test_the_same_seed_learns_the_same() -> None:
    def curve() -> tuple[float, ...]:
        return learning.learn_to_copy(instance_of(reference.declaration(Role.CAUSAL_LM)), steps=3, seed=4).curve

    assert curve() == curve()


def test_seen_and_unseen_texts_are_others() -> None:
    random = torch.Generator().manual_seed(1)
    for unseen in (True, False):
        drawn = learning.texts(ALPHABET, random, unseen=unseen, shortest=2, longest=5)
        for _ in range(200):
            words = next(drawn)
            assert learning.is_unseen(words) is unseen
            assert 2 <= len(words) <= 5
            assert len(set(words)) == len(words)
            assert set(words) <= set(ALPHABET.words)


def test_alphabet() -> None:
    """Padding may be any id."""
    assert Alphabet.of(vocab=8, pad=1) == Alphabet(1, 0, 2, (3, 4, 5, 6, 7))
    with pytest.raises(ValueError, match="vocab=6 must be at least 7"):
        Alphabet.of(vocab=6, pad=0)


def test_the_copied_part_alone_tells_when_to_stop() -> None:
    """Whatever is said before the beginning of the copy, and behind its end."""
    ids = torch.tensor([[5, 6, ALPHABET.go, 5, 6, ALPHABET.end, 0, 0]])
    logits = torch.zeros(1, 8, 11)
    for place, said in ((2, 5), (3, 6), (4, ALPHABET.end)):
        logits[0, place, said] = 50.0
    assert learning.loss_at_copies(logits, ids, ALPHABET) < 1e-6
    logits[0, 2] = 0.0
    assert learning.loss_at_copies(logits, ids, ALPHABET) > 0.5


def test_what_cannot_be_learnt_is_said() -> None:
    """Without positions a source is a bag of words, unless a recurrent unit reads it."""

    def reason(role: Role, **claims: object) -> str | None:
        return learning.cannot_learn(subject_of(reference.declaration(role, **claims)))

    assert "bag of words" in (reason(Role.ENCODER_DECODER) or "")
    assert reason(Role.ENCODER_DECODER, positions="rotary") is None
    assert reason(Role.ENCODER_DECODER, cell="gru") is None
    assert reason(Role.CAUSAL_LM) is None


def test_a_call_that_returns_no_logits_is_the_subjects_error() -> None:
    instance = oracle(copy)
    instance.function = lambda *_: (1, 2)
    with pytest.raises(SubjectError, match="a tuple where logits are promised"):
        learning.learn_to_copy(instance, steps=1)


def test_a_function_has_nothing_to_train() -> None:
    instance = oracle(copy)
    instance.module = None
    with pytest.raises(NotChecked, match="no module"):
        learning.learn_to_copy(instance, steps=1)


def test_what_is_known_and_not_written_has_a_name() -> None:
    """A model that sees the answer knows every copy in training, and has nothing to look at when it writes."""

    def leak(text: list[int]) -> int:
        return text[0]

    instance = oracle(leak)
    answers = instance.module
    assert isinstance(answers, Oracle)

    def seeing(ids: Tensor, _: Tensor | None = None) -> Tensor:
        following = torch.cat((ids[:, 1:], ids[:, :1]), dim=1)
        return nn.functional.one_hot(following, 11) * 40.0 + answers.idle

    instance.function = seeing
    learned = learning.learn_to_copy(instance, steps=100)
    assert learned.known
    assert learned.verdict is Verdict.BY_HEART


def test_shares_between_have_no_name() -> None:
    assert Learned((), copied=0.4, collapsed=0.3, repeated=0.3).verdict is Verdict.FAILS
