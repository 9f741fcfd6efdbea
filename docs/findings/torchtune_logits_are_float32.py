"""torchtune 0.6.1: logits are float32 whatever the model is, float64 too.

``TransformerDecoder.unembed`` ends in ``self.output(h).float()``: for bfloat16 that widens, so that the loss is computed in float32, as is meant; a
float64 model's logits are narrowed, and a gradient check of it fails. Its norms and its rotary positions are computed in float32 as well.
"""

from importlib.metadata import version

import torch
from torchtune.models.llama2 import llama2

print("torchtune", version("torchtune"), "torch", torch.__version__)
for dtype in (torch.bfloat16, torch.float32, torch.float64):
    model = llama2(vocab_size=61, num_layers=1, num_heads=4, num_kv_heads=4, embed_dim=32, max_seq_len=24).to(dtype)
    print("a model in", dtype, "gives logits in", model(torch.arange(1, 9)[None]).dtype)
