"""transformers: with padding on the left, eager attention of a float64 model gives NaN at real tokens.

Eager masks add ``torch.finfo(dtype).min`` to the scores, and the softmax is taken in float32 whatever the model's dtype. The smallest
float64 becomes minus infinity there; a query that sees nothing (padding on the left, or behind a sliding window) becomes NaN, and in the
next layer its keys and values, times a weight of zero, make every row NaN. sdpa, and eager in float32, bfloat16 and float16, are right.

Found by Veriformer's masking.padding-does-not-change-real-positions. Run: python transformers_eager_attention_gives_nan_in_float64.py
"""

import torch
import transformers

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
ids = torch.randint(1, 31, (2, 9), generator=torch.Generator().manual_seed(1))
mask = torch.ones(2, 9, dtype=torch.long)
mask[0, :3] = 0  # row 0 is padded on the left
places = (mask.cumsum(1) - 1).clamp(min=0)
for attention in ("eager", "sdpa"):
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        config = transformers.LlamaConfig(
            vocab_size=31,
            hidden_size=32,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=4,
            pad_token_id=0,
        )
        config._attn_implementation = attention  # noqa: SLF001
        model = transformers.LlamaForCausalLM(config).eval().to(dtype)
        with torch.no_grad():
            padded = model(ids, attention_mask=mask, position_ids=places).logits[0, 3:]
            alone = model(ids[:1, 3:]).logits[0]
        print(f"{attention:5} {dtype}: real tokens with padding off by {(padded - alone).abs().max():.2g}")
