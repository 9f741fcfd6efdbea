"""transformers: Falcon with alibi=True computes two functions, eager and sdpa, and its biases are rounded to bfloat16.

1. The same weights give other logits with eager attention than with sdpa, in float32 and by far more than rounding.
2. ``build_alibi_tensor`` multiplies slopes and positions in bfloat16, whatever the model's dtype: from position 257 on neighbours share
   one bias, at 1000 three or four of them do.

Breaks Veriformer's numerics.nothing-is-rounded-on-the-way and model.equals-the-reference. Run: python transformers_falcon_alibi.py
"""

import torch
import transformers
from transformers.models.falcon.modeling_falcon import build_alibi_tensor

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
ids = torch.randint(1, 31, (2, 9), generator=torch.Generator().manual_seed(1))
logits = {}
for alibi in (False, True):
    for attention in ("eager", "sdpa"):
        torch.manual_seed(0)
        config = transformers.FalconConfig(
            vocab_size=31, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=alibi, multi_query=False,
            parallel_attn=False, initializer_range=0.3, bos_token_id=1, eos_token_id=1,
        )  # fmt: skip
        config._attn_implementation = attention  # noqa: SLF001
        with torch.no_grad():
            logits[attention] = transformers.FalconForCausalLM(config).eval()(ids).logits
    apart = (logits["eager"] - logits["sdpa"]).abs().max()
    print(f"alibi={alibi}: eager and sdpa are {apart:.2g} apart, of {logits['sdpa'].abs().max():.2g}")
bias = build_alibi_tensor(torch.ones(1, 2048, dtype=torch.long), 12, torch.float32)[0, 0]
print(
    f"biases at positions 1000 to 1005, in float32: {bias[1000:1006].tolist()}; 2048 positions have {len(bias.unique())} biases"
)
