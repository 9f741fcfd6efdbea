"""torchtune 0.6.1: gemma2 takes attn_dropout, checks its range, and never drops anything.

``Gemma2Attention.forward`` computes the softmax by hand and does not apply ``self.attn_dropout``; ``gemma``, through
``scaled_dot_product_attention``, does.
"""

from importlib.metadata import version

import torch
from torchtune.models.gemma import gemma
from torchtune.models.gemma2 import gemma2

print("torchtune", version("torchtune"), "torch", torch.__version__)
sizes = {"vocab_size": 61, "num_layers": 2, "num_heads": 4, "head_dim": 8, "num_kv_heads": 2, "embed_dim": 32}
for build in (gemma, gemma2):
    torch.manual_seed(0)
    model = build(**sizes, intermediate_dim=40, max_seq_len=24, attn_dropout=0.5).train()
    ids = torch.arange(1, 9)[None]
    with torch.no_grad():
        print(
            f"{build.__name__}, attn_dropout=0.5, in training: two calls differ by {(model(ids) - model(ids)).abs().max():.1e}"
        )
