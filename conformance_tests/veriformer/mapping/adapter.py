"""Adapter: a layout as Python source, a function ``weights`` to keep beside the build function and to read."""

from collections.abc import Iterator, Mapping, Sequence

from torch import nn

from veriformer.mapping.layout import Counter, Layout, Name, Rule, reference_shapes
from veriformer.mapping.recipes import ROLES_OF_HEADS
from veriformer.mapping.tensors import IN_OUT, Reading
from veriformer_spec.config import Config


def attributes(module: nn.Module, config: Config) -> dict[str, str]:
    """Where the module itself says how many heads it has: ``heads`` and ``kv_heads`` as expressions of ``module``."""
    found: dict[str, str] = {}
    for name in ("heads", "kv_heads"):
        wanted = getattr(config, name)
        for path, each in module.named_modules():
            said = next((key for key, value in vars(each).items() if type(value) is int and value == wanted), None)
            if said is not None and not said.startswith("_"):
                words = (f"[{word}]" if word.isdecimal() else f".{word}" for word in path.split(".") if word)
                found[name] = f"module{''.join(words)}.{said}"
                break
    if config.kv_heads == config.heads and "heads" in found:
        found["kv_heads"] = found["heads"]
    return found


def source(layout: Layout) -> str:
    """The function, as text; it needs torch and nothing else."""
    shapes = reference_shapes(layout.role, layout.built)
    once = [rule for rule in layout.rules if not rule.per_layer]
    layered = [rule for rule in layout.rules if rule.per_layer]
    body = [line for rule in once for line in _lines(rule, layout, shapes)]
    counted: dict[str, list[Rule]] = {}
    for rule in layered:
        counted.setdefault(_stack(rule.parts[0]), []).append(rule)
    for rules in counted.values():
        first = rules[0].sources[0]
        body.append("layer = 0")
        body.append(f"while {_quoted(_first_head(first))} in own:")
        inside = [line for rule in rules for line in _lines(rule, layout, shapes)]
        inside += [line for name in layout.silent if _stack(name) == _stack(rules[0].parts[0]) for line in _zeros(name)]
        body += [f"    {line}" for line in (*inside, "layer += 1")]
    body += [
        line for name in layout.silent if not any(isinstance(each, Counter) for each in name) for line in _zeros(name)
    ]
    head = []
    if any("heads" in line for line in body):
        for name in ("heads", "kv_heads"):
            said = layout.attributes.get(name)
            if any(_mentions(line, name) for line in body):
                head.append(
                    f"{name} = {said or f'{getattr(layout.config, name)}  # put here what says so in the module'}"
                )
    config = layout.config
    sizes = f"d_model={config.d_model}, heads={config.heads}, d_ff={config.d_ff}, layers={config.layers}"
    note = "at any sizes" if layout.generic else "at these sizes alone: no recipe explains the order of the rows"
    lines = [
        "def weights(module):",
        '    """The module\'s tensors under the names of the reference; found without one name, and verified on random weights',
        f"    ({sizes}), to be used {note}.",
        '    """',
        *(f"    {line}" for line in head),
        "    own = dict(module.named_parameters(remove_duplicate=False))",
        "    found = {}",
        *(f"    {line}" for line in body),
        "    return found",
    ]
    return (
        "import torch\n\n\n" + "\n".join(lines) + "\n"
        if any("torch." in line for line in body)
        else "\n".join(lines) + "\n"
    )


def _mentions(line: str, name: str) -> bool:
    words = line.replace("(", " ").replace(")", " ").replace(",", " ").replace("*", " ").split()
    return name in words


def _stack(name: Name) -> str:
    """What stands before the layer's number: ``stack.layers``, or ``encoder.layers``."""
    words: list[str] = []
    for each in name:
        if isinstance(each, Counter):
            return "".join(words)
        words.append(each)
    return ""


def _quoted(name: Name) -> str:
    said = "".join(each if isinstance(each, str) else f"{{{_count(each)}}}" for each in name)
    return f'f"{said}"' if "{" in said else f'"{said}"'


def _count(each: Counter) -> str:
    scaled = each.of if each.slope == 1 else f"{each.slope} * {each.of}"
    return scaled if each.start == 0 else f"{scaled} + {each.start}"


def _first_head(name: Name) -> Name:
    return tuple(each.at(0) if isinstance(each, Counter) and each.of == "head" else each for each in name)


def _read(expression: str, reading: Reading) -> str:
    if reading == IN_OUT:
        return f"{expression}.mT"
    axes = (*reading.rows, *reading.columns)
    if not axes:
        return f"{expression}.flatten()"
    turned = expression if axes == tuple(sorted(axes)) else f"{expression}.permute({', '.join(map(str, axes))})"
    if len(reading.rows) > 1:
        turned = f"{turned}.flatten(0, {len(reading.rows) - 1})"
    return f"{turned}.flatten(1)" if len(reading.columns) > 1 else turned


def _lines(rule: Rule, layout: Layout, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    parts = [f"found[{_quoted(name)}]" for name in rule.parts]
    counts = [_counted(name, shapes) for name in rule.parts]
    reshaped = [len(shapes[_at_zero(name)]) == 2 and not rule.reading.columns for name in rule.parts]
    stored = _stored(rule)
    if rule.rows:
        yield f"stored = {stored}"
        for part, rows in zip(parts, rule.rows, strict=True):
            yield f"{part} = stored[{list(rows)}]"
        return
    if rule.offset:
        trailing = rule.stored - rule.offset - counts[0]
        stored = f"({stored})" if " " in stored else stored
        stored = f"{stored}[{rule.offset}:{f'-{trailing}' if trailing else ''}]"
    elif len(parts) == 1 and rule.stored > counts[0]:
        stored = f"{stored}[: -{rule.stored - counts[0]}]"
    if len(parts) == 1:
        line = _by_feature(stored, counts, layout.config) if rule.order.feature_first else stored
        yield f"{parts[0]} = {line}{'[None]' if reshaped[0] else ''}"
        return
    yield f"stored = {stored}"
    cut, join = _cut(rule, counts, layout.config)
    yield f"pieces = {cut}"
    for index, part in enumerate(parts):
        piece = f"pieces[{index}]{join}"
        yield f"{part} = {_by_feature(piece, counts, layout.config) if rule.order.feature_first else piece}"


def _stored(rule: Rule) -> str:
    if rule.per_head:
        (name,) = rule.sources if len(rule.sources) == 1 else (rule.sources[0],)
        each = _read(f"own[{_quoted(name)}]", rule.reading)
        test = _quoted(name)
        return f"torch.cat([{each} for head in range(len(own)) if {test} in own])"
    read = [_read(f"own[{_quoted(name)}]", rule.reading) for name in rule.sources]
    plain = [each.removesuffix(".flatten()") if rule.flat else each for each in read]
    return plain[0] if len(plain) == 1 else f"torch.cat([{', '.join(plain)}])"


def _cut(rule: Rule, counts: Sequence[int], config: Config) -> tuple[str, str]:
    """How stored rows are cut into parts, and what makes a part one tensor again."""
    groups = rule.order.groups
    equal = len(set(counts)) == 1
    if groups == "rows" and equal:
        return f"stored.unflatten(0, (-1, {len(counts)})).unbind(1)", ""
    if groups == "1" and equal:
        return f"stored.chunk({len(counts)})", ""
    heads = [_heads_of(count, config) for count in counts]
    number = {
        "1": "1",
        "heads": "heads",
        "kv_heads": "kv_heads",
        "rows": "heads",
        "d_head": f"len(stored) // ({' + '.join(heads)})",
    }[groups]
    if equal:
        return f"stored.unflatten(0, ({number}, -1)).chunk({len(counts)}, 1)", ".flatten(0, 1)"
    d_head = f"len(stored) // ({' + '.join(heads)})"
    if groups == "1":
        return f"stored.split([{', '.join(f'{each} * ({d_head})' for each in heads)}])", ""
    sizes = ", ".join(f"{each} * ({d_head}) // {number}" for each in heads)
    return f"stored.unflatten(0, ({number}, -1)).split([{sizes}], 1)", ".flatten(0, 1)"


def _heads_of(count: int, config: Config) -> str:
    return ROLES_OF_HEADS[count == config.heads * config.d_head]


def _by_feature(expression: str, counts: Sequence[int], config: Config) -> str:
    heads = _heads_of(counts[0], config)
    return f"{expression}.unflatten(0, (-1, {heads})).transpose(0, 1).flatten(0, 1)"


def _zeros(name: Name) -> Iterator[str]:
    """A bias of which no number matters, as long as the weight beside it has rows."""
    weight = (*name[:-1], str(name[-1]).removesuffix("bias") + "weight")
    yield f"found[{_quoted(name)}] = found[{_quoted(weight)}].new_zeros(len(found[{_quoted(weight)}]))"


def _at_zero(name: Name) -> str:
    return "".join(each if isinstance(each, str) else each.at(0) for each in name)


def _counted(name: Name, shapes: Mapping[str, tuple[int, ...]]) -> int:
    shape = shapes[_at_zero(name)]
    return shape[0] if len(shape) == 2 and shape[0] > 1 else shape[-1]
