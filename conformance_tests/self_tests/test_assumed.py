"""No adapter: what is assumed of classes as tutorials write them, and that no assumption makes a wrong class right."""

# mypy: ignore-errors
# Classes as users write them: without types.

import importlib.util
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import veriformer
from self_tests.tutorial_classes import FOLDER, OTHERWISE, PUBLISHED, RIGHT, WRONG, Class
from veriformer.assumed import Undecided, writing
from veriformer.assumed.guess import role_of
from veriformer.cli import run
from veriformer.errors import UsageError
from veriformer.request import Request
from veriformer.run import run as judge
from veriformer.targets import Target, origin_of
from veriformer.worker import Found
from veriformer_spec.role import Role


def drafted(each: Class, folder: Path):
    target = Target(text=each.typed(folder), role=each.role)
    origin, _ = origin_of(target)
    return target.draft(origin)


def value(draft, what: str) -> str:
    return next((each.value for each in draft.assumed if each.what == what), "")


@pytest.mark.parametrize("each", [*RIGHT, *PUBLISHED], ids=lambda each: each.target)
def test_a_tutorial_is_understood(each: Class, tmp_path: Path) -> None:
    """Constructor, call, masks and claims are found out; nothing is left open, and what must be said is said."""
    if each.target.startswith("transformers"):
        pytest.importorskip("transformers")
    draft = drafted(each, tmp_path)
    assert not draft.todo
    for what, begins in each.says:
        assert value(draft, what).startswith(begins), (what, value(draft, what))
        assert value(draft, what)
    compile(writing.adapter(draft, each.target, file=tmp_path / "adapter.py", source=None), "adapter.py", "exec")


@pytest.mark.parametrize("each", OTHERWISE, ids=lambda each: f"{each.target} {each.new}")
def test_a_mask_that_points_another_way_is_understood(each: Class, tmp_path: Path) -> None:
    """It is found out by trying, and the masking clauses hold."""
    draft = drafted(each, tmp_path)
    for what, begins in each.says:
        assert value(draft, what).startswith(begins)
    target = Target(text=each.typed(tmp_path), role=each.role)
    only = ("masking.masked-keys-are-invisible", "masking.outputs-depend-on-every-visible-key")
    (result,) = judge(target.load, Request(budget="quick", only=only, diagnose=False), target=target.text)
    assert result.conformant, str(result)
    assert result.header.assumed


@pytest.mark.parametrize("each", [*PUBLISHED, *WRONG], ids=lambda each: f"{each.target} {each.new}")
def test_a_wrong_class_fails_by_its_clause(each: Class, tmp_path: Path) -> None:
    """No assumption explains the mistake away."""
    target = Target(text=each.typed(tmp_path), role=each.role)
    (result,) = judge(
        target.load, Request(budget="quick", only=each.clauses, diagnose=False, isolate=False), target=target.text
    )
    assert not result.conformant, str(result)
    assert any(verdict.clause.startswith(each.clauses) for verdict in result.failed)


class Ignores(nn.Module):
    """Takes a mask, and does nothing with it."""

    def __init__(self, dim, heads):
        super().__init__()
        self.att = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, x, mask=None):
        return self.att(x, x, x)[0]


class Leaks(nn.Module):
    """True hides, and does not hide well: the mask is subtracted."""

    def __init__(self, dim, heads):
        super().__init__()
        self.att = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.heads = heads

    def forward(self, x, mask=None):
        if mask is not None:
            mask = (mask.to(x.dtype) * -9.0).repeat_interleave(self.heads, 0)
        return self.att(x, x, x, attn_mask=mask)[0]


class Needs(nn.Module):
    """Must be told something that no name explains."""

    def __init__(self, dim, heads, temperature_of_the_room):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.temperature = temperature_of_the_room + 1

    def forward(self, x):
        return self.norm(x)


class Calls(nn.Module):
    """Must be passed something that no name explains."""

    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)

    def forward(self, x, step_of_the_moon):
        return self.norm(x) * step_of_the_moon


def of(made, role, **claims):
    from veriformer.targets import declared

    return declared(made, role=role, claims=claims)


def masked_keys_are_invisible(declaration) -> bool:
    request = Request(budget="quick", only=("masking.masked-keys-are-invisible",), diagnose=False, isolate=False)
    found = Found(declaration=declaration, target="")
    (result,) = judge(lambda: [found], request, target="")
    return result.conformant


def said(declaration, what: str):
    return next(each for each in declaration.assumed if each.what == what)


def test_a_mask_that_is_ignored_is_no_convention() -> None:
    """It is said, and the masking clauses fail."""
    declaration = of(Ignores, "multi-head-attention")
    assert said(declaration, "the mask mask").how.startswith("not decided: it changes nothing")
    assert not masked_keys_are_invisible(declaration)


def test_a_mask_that_leaks_has_a_direction_and_fails() -> None:
    """Which way it points is told by how much less the hidden keys show; that they show is a failure."""
    declaration = of(Leaks, "multi-head-attention")
    assert said(declaration, "the mask mask").value.startswith(("True hides", "1 hides", "1.0 hides"))
    assert "no way to pass it hides them" in said(declaration, "the mask mask").how
    assert not masked_keys_are_invisible(declaration)


def test_what_the_user_claims_is_not_found_out_anew() -> None:
    """A claim that does not hold fails; it is not replaced by what holds. An option that stands for it is passed."""
    declaration = of(nn.TransformerEncoderLayer, "encoder-layer", norm="pre")
    assert declaration.claims["norm"] == "pre"
    assert "norm_first = norm == 'pre'" in said(declaration, "constructor").value
    declaration = of(written_post(), "encoder-layer", norm="pre")
    assert declaration.claims["norm"] == "pre"


def written_post():
    """A class of post-norm layers that takes no option."""
    specification = importlib.util.spec_from_file_location("uva_once_more", FOLDER / "uva.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.EncoderBlock


def test_what_cannot_be_decided_is_one_message() -> None:
    """With the parameter's name and the remedy; what was decided is kept for the adapter."""
    for made, word in ((Needs, "temperature_of_the_room"), (Calls, "step_of_the_moon")):
        with pytest.raises(Undecided) as caught:
            of(made, "layer-norm")
        assert word in str(caught.value)
        assert "veriformer init" in str(caught.value)
        assert "\n" not in str(caught.value)
        assert "# TODO: " in caught.value.draft.body()
    with pytest.raises(Undecided, match="called in a way of its own"):
        of(nn.Dropout, "dropout")
    with pytest.raises(veriformer.declaration.ClaimError):
        of(nn.LayerNorm, "layer-norm", norm="pre")


def test_a_part_of_the_neural_network_is_judged_by_every_door(tmp_path: Path) -> None:
    """A class is passed to the function as it is to the command."""
    result = veriformer.check(nn.LayerNorm, role="layer-norm", budget="quick", only="normalization")
    assert result.conformant
    assert [each.what for each in result.header.assumed] == ["forward", "constructor", "function"]
    assert "assumed, because no adapter says it" in str(result)


@pytest.mark.parametrize(
    ("target", "role"),
    [
        ("annotated.py:MultiHeadedAttention", Role.MULTI_HEAD_ATTENTION),
        ("annotated.py:EncoderLayer", Role.ENCODER_LAYER),
        ("annotated.py:Encoder", Role.ENCODER),
        ("annotated.py:DecoderLayer", Role.DECODER_LAYER),
        ("annotated.py:LayerNorm", Role.LAYER_NORM),
        ("annotated.py:PositionwiseFeedForward", Role.FEED_FORWARD),
        ("uva.py:PositionalEncoding", Role.POSITIONAL_ENCODING),
        ("nanogpt.py:GPT", Role.CAUSAL_LM),
        ("bentrevett.py:Seq2Seq", Role.ENCODER_DECODER),
    ],
)
def test_a_role_is_guessed_by_what_is_taken(target: str, role: Role) -> None:
    """For ``init`` without a role, which marks it as open."""
    origin, _ = origin_of(Target(text=f"{FOLDER}/{target}"))
    assert role_of(origin.made) is role


def written(file: Path):
    specification = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(file.parent))
    try:
        specification.loader.exec_module(module)
    finally:
        sys.path.remove(str(file.parent))
    return module


def test_init_writes_the_adapter_that_was_judged(tmp_path: Path, capsys, monkeypatch) -> None:
    """Beside the class, complete, and declaring what was assumed; an existing file is not overwritten."""
    (tmp_path / "mine.py").write_text((FOLDER / "uva.py").read_text())
    monkeypatch.chdir(tmp_path)
    asked = ["init", "mine.py:EncoderBlock", "--as", "encoder-layer"]
    assert run(asked) == 0
    assert "wrote veriformer_encoderblock.py;" in capsys.readouterr().out
    file = tmp_path / "veriformer_encoderblock.py"
    own = written(file).build.__veriformer__
    target = Target(text="mine.py:EncoderBlock", role="encoder-layer")
    (found,) = target.load()
    assert (own.role, own.claims, own.sizes) == (
        found.declaration.role,
        found.declaration.claims,
        found.declaration.sizes,
    )
    only = ["--only", "masking.masked-keys-are-invisible", "--budget", "quick"]
    assert run(["check", "veriformer_encoderblock.py:build", *only]) == 0
    assert run(["check", "mine.py:EncoderBlock", "--as", "encoder-layer", *only]) == 0
    assert "True keeps" in capsys.readouterr().out
    assert run(asked) == 2
    assert "--force" in capsys.readouterr().err
    assert run([*asked, "--force"]) == 0
    elsewhere = tmp_path / "adapters"
    elsewhere.mkdir()
    assert run([*asked, "--output", "adapters/mine_adapted.py"]) == 0
    assert written(elsewhere / "mine_adapted.py").build.__veriformer__.role == "encoder-layer"


def test_init_marks_what_is_open(tmp_path: Path, capsys, monkeypatch) -> None:
    """The guessed role, and what nobody knows; the file compiles all the same."""
    (tmp_path / "my-model.py").write_text((FOLDER / "uva.py").read_text())
    (tmp_path / "needy.py").write_text(
        "from torch import nn\n\n\nclass Needs(nn.Module):\n    def __init__(self, dim, heads, mystery):\n"
        "        super().__init__()\n        self.norm = nn.LayerNorm(mystery.size)\n\n    def forward(self, x):\n        return self.norm(x)\n"
    )
    monkeypatch.chdir(tmp_path)
    assert run(["init", "my-model.py:EncoderBlock"]) == 4
    text = (tmp_path / "veriformer_encoderblock.py").read_text()
    assert "# TODO: the role: encoder-layer is a guess" in text
    assert written(tmp_path / "veriformer_encoderblock.py").build.__veriformer__.role == "encoder-layer"
    assert run(["init", "needy.py:Needs", "--as", "encoder-layer"]) == 4
    said = capsys.readouterr().out
    assert "open: Needs must be constructed with mystery" in said
    assert "mystery=..." in (tmp_path / "veriformer_needs.py").read_text()
    assert run(["check", "needy.py:Needs", "--as", "encoder-layer"]) == 2
    assert "mystery" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["torch.nn"], "file.py:Class"),
        (["torch.nn:functional"], "is no class of modules"),
        (["torch.nn:LayerNorm", "--as", "layernorm"], "does not exist"),
        (["torch.nn:Dropout", "--as", "dropout"], "called in a way of its own"),
        (["torch.nn:LayerNorm", "--as", "layer-norm", "--output", "no/such/folder.py"], "cannot be written"),
    ],
)
def test_init_refuses_in_one_line(arguments: list[str], words: str, tmp_path: Path, monkeypatch, capsys) -> None:
    """And writes nothing."""
    monkeypatch.chdir(tmp_path)
    assert run(["init", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_sizes_that_a_class_has_by_itself_are_refused_together() -> None:
    """The inside of the feed-forward network is a size, or a multiple of another."""
    with pytest.raises(UsageError, match="d_ff_ratio"):
        veriformer.Fixed(d_ff=8, d_ff_ratio=4)
    assert torch.get_default_dtype() is torch.float32
