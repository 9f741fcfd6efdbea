"""Multi-head attention in a loop over sequences, heads and queries, with each head's rows and columns cut out of the weights.

The suite's own arithmetic: it shares nothing with the reference.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from veriformer.inputs import Inputs
from veriformer.outcome import NotChecked
from veriformer.subjects import Instance
from veriformer_spec.config import Config


def plain(query: Tensor, key: Tensor, value: Tensor, visible: Tensor, scale: float, cap: float | None = None) -> Tensor:
    """One head of one sequence, query by query: exponentials of scores, divided by their sum, weigh the values."""
    rows = []
    for position in range(query.shape[0]):
        seen = visible[position].nonzero().flatten()
        scores = (key[seen] * query[position]).sum(-1) * scale
        scores = scores if cap is None else cap * torch.tanh(scores / cap)
        shares = torch.exp(scores - scores.max())
        rows.append((shares[:, None] * value[seen]).sum(0) / shares.sum())
    return torch.stack(rows)


def normalised(x: Tensor, kind: str, eps: float, gain: Tensor | None, shift: Tensor | None) -> Tensor:
    """Each row of one head's queries or keys, normalised over its features."""
    if kind == "none":
        return x
    centred = x - x.mean(-1, keepdim=True) if kind == "layer" else x
    result = centred / torch.sqrt(centred.square().mean(-1, keepdim=True) + eps)
    result = result if gain is None else result * gain
    return result if shift is None else result + shift


def turned(x: Tensor, first: int, config: Config) -> Tensor:
    """Rows of one head turned pair by pair, by an angle that grows with the position: ``first``, ``first + 1``, ..."""
    if config.positions != "rotary":
        return x
    size = x.shape[-1]
    result = x.clone()
    for row in range(x.shape[0]):
        for pair in range(size // 2):
            one, other = (2 * pair, 2 * pair + 1) if config.rotary_pairing == "adjacent" else (pair, pair + size // 2)
            angle = (first + row) / config.rotary_scaling * config.rotary_base ** (-2 * pair / size)
            a, b = x[row, one], x[row, other]
            result[row, one] = a * math.cos(angle) - b * math.sin(angle)
            result[row, other] = a * math.sin(angle) + b * math.cos(angle)
    return result


def sum_over_heads(
    instance: Instance, inputs: Inputs, mapping: Mapping[str, Tensor], group_of: Mapping[int, int], scale: float
) -> Tensor:
    """The multi-head output, head by head, added up.

    Args:
        group_of: which key/value head each query head reads.

    Raises:
        NotChecked: scores get a bias, which is another chapter's arithmetic.
    """
    config = instance.config
    if config.positions in ("alibi", "relative"):
        raise NotChecked(f"positions={config.positions} add to the scores; see heads.equals-the-reference")
    wide = {name: tensor.detach().double().cpu() for name, tensor in mapping.items()}
    queries, memory = (inputs.tensors[index].double().cpu() for index in (0, -1))
    memory = queries if config.memory == "query" else memory
    visible = inputs.visible()
    first = memory.shape[1] - queries.shape[1]  # fewer queries than keys are the last ones

    def own(name: str, head: int, tokens: Tensor) -> Tensor:
        rows = slice(head * config.d_head, (head + 1) * config.d_head)
        projected = torch.einsum("td,fd->tf", tokens, wide[f"{name}.weight"][rows])
        return projected + wide[f"{name}.bias"][rows] if f"{name}.bias" in wide else projected

    def looked_for(name: str, head: int, tokens: Tensor, start: int) -> Tensor:
        gain, shift = (wide.get(f"{name}_norm.{part}") for part in ("gain", "shift"))
        found = normalised(own(name, head, tokens), config.query_key_norm, config.eps, gain, shift)
        return turned(found, start, config)

    output = torch.zeros(*queries.shape[:2], wide["output.weight"].shape[0], dtype=torch.float64)
    for row in range(queries.shape[0]):
        for head, group in group_of.items():
            query, key = looked_for("query", head, queries[row], first), looked_for("key", group, memory[row], 0)
            found = plain(query, key, own("value", group, memory[row]), visible[row], scale, config.soft_cap)
            columns = wide["output.weight"][:, head * config.d_head : (head + 1) * config.d_head]
            output[row] += torch.einsum("tf,df->td", found, columns)
    return inputs.specified(output + wide["output.bias"] if "output.bias" in wide else output)
