"""Faults in sampling, in code that is not the reference's."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import math

import torch
import torch.nn.functional as F

from veriformer.faults.fault import Fault
from veriformer.faults.generation_styles import Loop, Pipeline, Plain, writer
from veriformer_spec import generation

EVERYTHING = ("greedy", "beam", "sample")


class HotterInPlaceOfCooler(Plain):
    def pick(self, logits, asked):
        return super().pick(logits, {**asked, "temperature": 1 / asked["temperature"] if asked["temperature"] else 0})


class DividesByZero(Loop):
    def __call__(self, model, prompt, *, strategy, temperature, **asked):
        return super().__call__(model, prompt, strategy=strategy, temperature=temperature or 1.0, **asked)


class OneNumberForAllRows(Loop):
    def sample(self, logits):
        edges = logits.softmax(-1).cumsum(-1)
        return (edges < torch.rand(1, dtype=edges.dtype) * edges[:, -1:]).sum(-1, keepdim=True)


class SeededEachTime(Pipeline):
    def search(self, model, ids, sample):
        torch.manual_seed(42)
        return super().search(model, ids, sample)


class RootOfTheTemperature(Pipeline):
    def warpers(self):
        self.temperature = math.sqrt(self.temperature)
        return super().warpers()


class NoTemperature(Plain):
    def pick(self, logits, asked):
        return super().pick(logits, {**asked, "temperature": asked["temperature"] and 1.0})


SAMPLING_IS_NOT_AT_THE_TEMPERATURE = Fault(
    id="sampling-is-not-at-the-temperature",
    sentence="the temperature is inverted, ignored, rooted or no limit; or one number decides for all rows, or every call draws the same",
    clauses=(generation.TEMPERATURE_ZERO_IS_GREEDY,),
    source="experience",
    written="if temperature > 0: logits /= temperature  # 0 samples at 1",
    mend="if temperature == 0: argmax",
    builds=(
        writer(HotterInPlaceOfCooler, *EVERYTHING),
        writer(DividesByZero, "sample"),
        writer(OneNumberForAllRows, "sample"),
        writer(SeededEachTime, "greedy", "sample"),
        writer(RootOfTheTemperature, "sample"),
        writer(NoTemperature, "sample"),
    ),
)


class DrawsWhateverItIs(Loop):
    def __call__(self, model, prompt, *, strategy, temperature, **asked):
        self.divisor = torch.tensor(float(temperature))
        asked["temperature"] = 1.0 if strategy == "sample" else temperature
        return super().__call__(model, prompt, strategy=strategy, **asked)

    def heated(self, logits, temperature):
        return logits / self.divisor


NOBODYS_DEFAULTS = {}


class LooksForADefault(Pipeline):
    """Zero is taken for an option that was left out."""

    def __call__(self, model, prompt, *, strategy, temperature, **asked):
        if strategy == "sample":
            temperature = temperature or NOBODYS_DEFAULTS["temperature"]
        return super().__call__(model, prompt, strategy=strategy, temperature=temperature, **asked)


SAMPLING_CRASHES_AT_ZERO = Fault(
    id="sampling-crashes-at-temperature-zero",
    sentence="at temperature zero numbers that are none reach the draw, or an option is looked for that nobody gave",
    clauses=(generation.TEMPERATURE_ZERO_IS_GREEDY,),
    source="experience",
    written="temperature = temperature or defaults['temperature']",
    mend="if temperature == 0: argmax",
    builds=(writer(DrawsWhateverItIs, "sample"), writer(LooksForADefault, "greedy", "sample")),
)


class NotStrictlyLess(Loop):
    def filtered(self, logits, top_k, top_p):
        if top_k is not None:
            v, _ = torch.topk(logits, min(top_k, logits.size(-1)))
            logits[logits <= v[:, [-1]]] = -1e9
        return super().filtered(logits, None, top_p)


class KSmallest(Pipeline):
    def warp_top_k(self, ids, scores):
        k = min(self.top_k, scores.size(-1))
        return scores.masked_fill(scores < torch.topk(scores, k)[0].amin(), float("-inf"))


class Uniform(Plain):
    """Any of the k, all alike."""

    def pick(self, logits, asked):
        if not asked["top_k"]:
            return super().pick(logits, asked)
        order = sorted(range(len(logits)), key=lambda each: -logits[each])[: asked["top_k"]]
        return max(order, key=lambda _: self.noise())


TOP_K_KEEPS_ANOTHER_SET = Fault(
    id="top-k-keeps-another-set",
    sentence="k - 1 ids are kept, or the smallest threshold of the batch is used, or the k are drawn without regard to their probabilities",
    clauses=(generation.TOP_K_KEEPS_EXACTLY_ITS_SET,),
    source="experience",
    written="logits[logits <= kth] = -inf",
    mend="logits[logits < kth] = -inf",
    builds=(writer(NotStrictlyLess, "greedy", "sample"), writer(KSmallest, "sample"), writer(Uniform, "sample")),
)


class NotShifted(Loop):
    def filtered(self, logits, top_k, top_p):
        logits = super().filtered(logits, top_k, None)
        if top_p is not None:
            srt, order = torch.sort(logits, descending=True)
            remove = F.softmax(srt, dim=-1).cumsum(-1) > top_p
            remove = remove & ~remove.all(-1, keepdim=True)
            remove[:, 0] = False
            logits[remove.scatter(1, order, remove)] = -float("inf")
        return logits


class LikeliestDropped(Pipeline):
    """Sorts upwards, and takes the mask of sorting downwards."""

    def warp_top_p(self, ids, scores):
        ascending, order = torch.sort(scores, descending=False)
        remove = ascending.softmax(-1).cumsum(-1) > self.top_p
        remove[..., 0] = False
        return scores.masked_fill(remove.scatter(1, order, remove), float("-inf"))


class EachAboveP(Plain):
    """Keeps each id whose own probability is at least 1 - p."""

    def nucleus(self, logits, order, p):
        total = sum(math.exp(logits[each] - logits[order[0]]) for each in order)
        kept = [each for each in order if math.exp(logits[each] - logits[order[0]]) / total >= (1 - p) / 2]
        return kept or order[:1]


class OneBeyond(Plain):
    def nucleus(self, logits, order, p):
        kept = super().nucleus(logits, order, p)
        return order[: len(kept) + 1]


TOP_P_KEEPS_ANOTHER_SET = Fault(
    id="top-p-keeps-another-set",
    sentence="the set ends before p is reached or one id after it, or holds the unlikely ids, or is chosen by each id's own probability",
    clauses=(generation.TOP_P_KEEPS_EXACTLY_ITS_SET,),
    source="https://gist.github.com/thomwolf/1a5a29f6962089e871b94cbd09daf317",
    written="remove = cumulative > top_p",
    mend="remove[..., 1:] = remove[..., :-1].clone(); remove[..., 0] = False",
    builds=(
        writer(NotShifted, "sample"),
        writer(LikeliestDropped, "sample"),
        writer(EachAboveP, "sample"),
        writer(OneBeyond, "greedy", "sample"),
    ),
)
