"""torchtune 0.6.1: gemma2 caps the hidden states before the output projection, and not the logits.

Gemma 2 bends its logits to 30·tanh(logit / 30) (Gemma Team 2024, section 2; final_logit_softcapping in its code). ``Gemma2FinalNorm`` applies the
bend to the output of the last norm, before ``TiedLinear`` makes logits of it: the logits are not bounded.
"""

from importlib.metadata import version

import torch
from torchtune.models.gemma2 import gemma2

print("torchtune", version("torchtune"), "torch", torch.__version__)
torch.manual_seed(0)
model = gemma2(
    vocab_size=61, num_layers=2, num_heads=4, head_dim=8, num_kv_heads=2, embed_dim=32, intermediate_dim=40, max_seq_len=24,
    final_capping_value=3.0,
).eval()  # fmt: skip
with torch.no_grad():
    model.tok_embeddings.weight.normal_()
    print("final_capping_value=3: the largest logit is", f"{model(torch.arange(1, 9)[None]).abs().max():.1f}")
