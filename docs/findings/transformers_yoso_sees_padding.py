"""transformers: YOSO ignores its attention mask: padding is seen like any other token.

Its attention multiplies by ``1.0 + attention_mask / 10000.0``, written for a mask that is 0 at real tokens and -10000 at padding; the
model passes the mask on as it came, 1 and 0, which gives 1.0001 and 1.0.

Breaks Veriformer's masking.masked-keys-are-invisible. Run: python transformers_yoso_sees_padding.py
"""

import torch
import transformers

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
torch.manual_seed(0)
config = transformers.YosoConfig(
    vocab_size=31, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, max_position_embeddings=32,
    initializer_range=0.3,
)  # fmt: skip
model = transformers.YosoForMaskedLM(config).eval()
ids = torch.randint(2, 31, (1, 9), generator=torch.Generator().manual_seed(1))
mask = torch.ones(1, 9, dtype=torch.long)
mask[0, 6:] = 0
other = ids.clone()
other[0, 6:] = other[0, 6:] % 29 + 2
with torch.no_grad():
    base = model(ids, attention_mask=mask).logits[0, :6]
    size = base.abs().max()
    print(
        f"other ids under padding change real tokens by {(model(other, attention_mask=mask).logits[0, :6] - base).abs().max():.2g}, of {size:.2g}"
    )
    print(f"no mask at all changes them by {(model(ids).logits[0, :6] - base).abs().max():.2g}")
    print(f"without the padding they are {(model(ids[:, :6]).logits[0] - base).abs().max():.2g} away")
