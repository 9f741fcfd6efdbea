"""labml-nn 0.5.1: the tables of rotary positions and of ALiBi stay in float32, and on the device of the first call.

``RotaryPositionalEmbeddings`` keeps ``cos_cached`` and ``sin_cached``, and ``AlibiMultiHeadAttention`` keeps ``alibi_biases``, as plain attributes,
which ``Module.to`` does not know; they are made anew only for a longer text. In bfloat16 rotary attention raises; a module that is called once
and then moved to another device raises too. Mend: ``register_buffer(..., persistent=False)``, or tables in the dtype and on the device of x.
"""

from importlib.metadata import version

import torch
from labml import tracker

tracker.debug = lambda *_, **__: None  # the release of labml that it asks for lacks the function
from labml_nn.transformers.alibi import AlibiMultiHeadAttention  # noqa: E402  # after the function is there
from labml_nn.transformers.rope import RotaryPEMultiHeadAttention  # noqa: E402

print("labml-nn", version("labml-nn"), "torch", torch.__version__)
x, mask = torch.randn(4, 1, 16), torch.ones(4, 4, 1).tril().bool()
for kind, name in (
    (RotaryPEMultiHeadAttention, "query_rotary_pe.cos_cached"),
    (AlibiMultiHeadAttention, "alibi_biases"),
):
    module = kind(4, 16)
    module(query=x, key=x, value=x, mask=mask)
    module.to("meta")
    table = module
    for part in name.split("."):
        table = getattr(table, part)
    print(f"{kind.__name__} moved to {module.output.weight.device}: {name} is on {table.device}", end="; in bfloat16: ")
    half = x.bfloat16()
    try:
        print(kind(4, 16).bfloat16()(query=half, key=half, value=half, mask=mask).dtype)
    except RuntimeError as error:
        print("RuntimeError:", error)
