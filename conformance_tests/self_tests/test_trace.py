"""trace: every step with its name and shape, the attention of each head, and a page that shows any sentence rightly."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import veriformer
from self_tests.page_reader import Reader
from self_tests.pages_in_a_browser import looked_at, needs_browser
from veriformer.adapters.builtin import subjects_named
from veriformer.cli import run
from veriformer.errors import UsageError
from veriformer.report.pages import heat_map
from veriformer.report.trace import page, text
from veriformer.tracing.following import follow, follow_profile
from veriformer.tracing.trace import Trace
from veriformer.tracing.words import split
from veriformer_spec.interface import AXES
from veriformer_spec.profiles import PROFILES

ENGLISH, ARABIC, HEBREW = "the cat sat on the mat", "جلست القطة على السجادة", "החתול ישב על השטיח"


def traced(profile: str = "gpt-2", sentence: str = "the cat sat") -> Trace:
    return follow_profile(split(sentence), profile, sizes={"layers": 1} if profile != "bahdanau" else {})


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_told_in_order(profile: str) -> None:
    """From the embedding to the head, each step with words for its shape; and the same bytes each time."""
    trace = traced(profile)
    said = text(trace, verbose=True)
    assert said == text(traced(profile), verbose=True)
    names = [step.point.name for step in trace.steps]
    assert names[0] in ("the embedding", "the entrance")
    if profile != "time-series":
        assert names[-1] == "the logits"
        assert f"{'stands here' if profile == 'bert' else 'comes next'}" in said
    if profile != "bahdanau":
        wanted = ["the queries", "the scores", "the attention weights", "the context of each head", "the merged heads"]
        places = [
            names.index(name)
            for name in (*wanted, "the output projection", "the sum with the skip", "the feed-forward output")
        ]
        assert places == sorted(places)
        assert len(trace.attention) == 4 * len(trace.places)
    for step in trace.steps:
        words = [word for name, _ in step.point.axes for word in name.split("·")]
        assert set(words) <= {*AXES, "features", "d_memory", "d_state"}, step.shape
        assert [size for _, size in step.point.axes] == list(step.point.values.shape)
        assert step.point.sentence
        assert step.section
    assert "random (seed 0)" in said
    assert "No trained tokenizer" in said


@pytest.mark.parametrize("profile", PROFILES)
def test_attention_is_a_distribution_over_the_right_words(profile: str) -> None:
    """Each row sums to one; a decoder looks at its own words, and across at the source's."""
    trace = traced(profile, ENGLISH)
    for each in trace.attention:
        weights = torch.tensor(each.weights)
        assert weights.shape == (len(each.rows), len(each.columns))
        assert torch.allclose(weights.sum(-1), torch.ones(len(each.rows)), atol=1e-6)
        across = "source" in each.place or profile == "bahdanau"
        assert each.columns == (
            trace.words.tokens if across or each.place.startswith("Encoder") or not trace.target else trace.target
        )
        assert all(weights[at] == 0 for at in each.hidden)
    hides = PROFILES[profile].role in ("causal-lm", "encoder-decoder") and profile != "bahdanau"
    assert any(each.hidden for each in trace.attention) == hides
    for row in trace.probabilities:
        assert sum(row) == pytest.approx(1)


def test_a_sentence_is_split_as_it_says() -> None:
    """Words at blanks; one word into characters, each with its marks; too long a one is refused."""
    words = split("the cat sat on the mat")
    assert words.ids == (2, 3, 4, 5, 2, 6)
    assert split("cat").tokens == ("c", "a", "t")
    assert split("a b", by="characters").tokens == ("a", "b")
    assert split("e\u0301a").tokens == ("e\u0301", "a")
    assert split(ARABIC).right_to_left
    assert split(HEBREW).language == "he"
    assert not words.right_to_left
    assert words.language == ""
    with pytest.raises(UsageError, match="empty"):
        split("  ")
    with pytest.raises(UsageError, match="at most 48"):
        split("a " * 49)


@veriformer.subject("causal-lm", norm="pre", activation="gelu", positions="learned")
def small(config: veriformer.Config) -> nn.Module:
    """A language model with names of its own."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            d = config.d_model
            self.one, self.two = nn.LayerNorm(d), nn.LayerNorm(d)
            self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
            self.mlp = nn.Sequential(nn.Linear(d, config.d_ff), nn.GELU(), nn.Linear(config.d_ff, d))

        def forward(self, x: Tensor, mask: Tensor) -> Any:
            q, k, v = (
                each.unflatten(-1, (config.heads, -1)).transpose(1, 2) for each in self.qkv(self.one(x)).chunk(3, -1)
            )
            seen = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
            x = x + self.out(seen.transpose(1, 2).flatten(2))
            return x + self.mlp(self.two(x))

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words = nn.Embedding(config.vocab, config.d_model)
            self.places = nn.Embedding(config.max_len, config.d_model)
            self.blocks = nn.ModuleList(Block() for _ in range(config.layers))
            self.norm, self.head = nn.LayerNorm(config.d_model), nn.Linear(config.d_model, config.vocab, bias=False)

        def forward(self, ids: Tensor, mask: Tensor | None = None) -> Any:
            time = ids.shape[1]
            seen = torch.ones(time, time, dtype=torch.bool, device=ids.device).tril()
            seen = seen if mask is None else seen & mask[:, None, None, :]
            x = self.words(ids) + self.places.weight[:time]
            for block in self.blocks:
                x = block(x, seen)
            return self.head(self.norm(x))

    return Model()


def test_a_subject_shows_where_it_makes_each_step() -> None:
    """Its own modules beside the specification's names; its kernel is seen inside, too."""
    trace = follow(split("the cat sat"), small.__veriformer__)  # type: ignore[attr-defined]  # the decorator's
    own = {step.point.name: step.own for step in trace.steps if step.section == "Layer 1"}
    assert own["the norm"] == "blocks.0.two: native_layer_norm"
    assert own["the activation"] == "blocks.0.mlp.1: gelu"
    assert own["the attention weights"]
    assert "what comes out is the reference's" in trace.notes[-1]
    assert "in the subject: blocks.0.mlp.1: gelu" in text(trace, width=200)
    assert "blocks.0.mlp.1: gelu" in page(trace)


def test_a_subject_that_is_not_understood_has_its_own_names() -> None:
    """Its modules' tensors, and every softmax that looks like attention."""

    @veriformer.subject("encoder-layer")
    def build(config: veriformer.Config) -> nn.Module:
        class Odd(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.one = nn.Linear(config.d_model, config.d_model)

            def forward(self, x: Tensor, mask: Tensor | None = None) -> Any:
                weights = torch.softmax(torch.sin(x @ x.mT), -1)
                return torch.tanh(self.one(weights @ x)) + x

        return Odd()

    trace = follow(split("the cat sat"), build.__veriformer__)  # type: ignore[attr-defined]  # the decorator's
    assert "not understood" in trace.notes[-1]
    assert [each.rows for each in trace.attention] == [("the", "cat", "sat")]
    assert any(step.section == "one" for step in trace.steps)
    assert "Odd" not in page(trace)


def read(html: str) -> list[tuple[str, dict[str, str | None]]]:
    reader = Reader()
    reader.feed(html)
    assert reader.open == []
    return reader.tags


@pytest.mark.parametrize("profile", PROFILES)
def test_the_page_is_well_formed_and_loads_nothing(profile: str) -> None:
    """No script, no address, a policy that forbids both; every picture has words, and every id is there once."""
    html = page(traced(profile))
    tags = read(html)
    names = [name for name, _ in tags]
    assert not {"script", "img", "iframe", "object", "embed"} & set(names)
    assert "http:" not in html
    assert "https:" not in html
    assert all(str(attributes.get("href", "#")).startswith(("#", "data:")) for _, attributes in tags)
    assert "default-src 'none'" in html
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {attributes["href"] for name, attributes in tags if name == "a"}
    assert targets <= {f"#{each}" for each in ids}
    pictures = [attributes for name, attributes in tags if name == "svg"]
    assert len(pictures) == len(traced(profile).attention)
    assert all(each["role"] == "img" and each["aria-label"] for each in pictures)
    assert names.count("figure") == names.count("figcaption")
    assert names.count("h1") == 1


def test_what_is_read_from_right_to_left_is_shown_so_and_indices_stay() -> None:
    """The sentence and its tokens have their direction and language; tables go on from the left."""
    html = page(traced("gpt-2", ARABIC))
    tags = read(html)
    assert ("h1", {"lang": "ar", "dir": "rtl"}) in tags
    lists = [attributes for name, attributes in tags if name == "ol"]
    assert all(attributes["dir"] == "rtl" for attributes in lists)
    assert "direction: ltr" in html
    rows = re.findall(r'<th scope="row"><bdi dir="rtl" class="rtl">(.*?)</bdi> <span>(\d)</span>', html)
    assert rows[:4] == [(word, str(index)) for index, word in enumerate(ARABIC.split())]
    assert "order of their indices" in html
    english = page(traced("gpt-2", ENGLISH))
    assert 'dir="rtl"' not in english


def test_text_is_escaped() -> None:
    """A sentence is no markup."""
    html = page(traced("gpt-2", "<script>alert(1)</script> & </title> \"x\" 'y'"))
    read(html)
    assert "<script" not in html


def test_a_heat_map_says_what_it_cannot_number() -> None:
    """Infinite, no number, nothing, yes and no; shares of the largest, and no negative zero."""
    found = heat_map(
        [[1.0, -2.0, float("inf")], [float("nan"), None, -0.001], [True, False, 1e6]], caption="all", marked={(0, 1)}
    )
    assert [[cell.text for cell in row] for row in found.cells] == [
        ["1.00", "−2.00", "∞"],
        ["NaN", "–", "0.00"],
        ["●", "·", "1e+06"],
    ]
    assert found.cells[0][1].kind.split()[-1] == "marked"
    assert found.cells[0][2].share == 1
    assert heat_map([[0.0]], caption="nothing").cells[0][0].share == 0


@needs_browser
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_a_browser_shows_it(tmp_path: Path, dark: bool) -> None:
    """On a desk and on a phone nothing is too wide, nothing loaded, nothing complained of; and every number can be read."""
    file = tmp_path / "trace.html"
    # unfolded, so that every number is laid out
    file.write_text(page(traced("gpt-2", ARABIC)).replace("<details", "<details open"), encoding="utf-8")
    views, complaints = looked_at(file, dark=dark)
    assert complaints == []
    assert len(views) == 2
    for seen in views:
        assert seen.scripts == seen.images == 0
        assert seen.loaded == []
        assert seen.wider <= 0
        assert seen.dark is dark
        assert seen.contrast > 7
        assert seen.cells > 300
        assert seen.faintest > 4


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On a terminal, as a page, and its refusals."""
    assert run(["trace", "the cat sat", "--profile", "llama", "--size", "layers=1", "--seed", "3"]) == 0
    said = capsys.readouterr().out
    assert "turned by position" in said
    assert "seed 3" in said
    assert "█" in said
    file = tmp_path / "trace.html"
    assert run(["trace", "cat", "--html", str(file)]) == 0
    assert "Vaswani et al. 2017" in file.read_text(encoding="utf-8")
    assert run(["trace", "the cat", "reference.encoder-layer norm=post", "--by", "characters"]) in (0, 2)
    assert run(["trace", "the cat", "--profile", "gpt-5"]) == 2
    assert run(["trace", "the cat", "reference.gpt-2", "--profile", "bert"]) == 2
    assert run(["trace", "the cat", "reference"]) == 2
    assert run(["trace", "the cat", "reference.layer-norm"]) == 2
    assert run(["trace", "the cat", "reference.gpt-2", "--size", "vocab=2"]) == 2
    assert run(["trace", "the cat", "--html", str(tmp_path / "no" / "where.html")]) == 2
    (tmp_path / "broken.py").write_text(
        "import veriformer\n@veriformer.subject('encoder')\ndef build(config):\n    return 1 / 0\n"
    )
    assert run(["trace", "the cat", f"{tmp_path / 'broken.py'}:build"]) == 3


def test_built_in_subjects_can_be_traced() -> None:
    """Those of torch.nn, too: an encoder-decoder, whose cross-attention is shown from target to source."""
    (subject,) = subjects_named("torch.nn.Transformer")
    trace = follow(split("the cat sat"), subject)
    assert any("source" in place for place in trace.places)
    assert "what comes out is the reference's" in trace.notes[-1]
