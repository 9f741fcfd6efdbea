"""transformers: ConvBERT's convolutions read padding, whatever the attention mask says.

The mask goes to the attention heads alone; the span-based convolution, nine tokens wide, runs over the hidden states of padding too. A
sentence's outputs depend on what it is batched with.

Breaks Veriformer's masking.padding-does-not-change-real-positions. Run: python transformers_convbert_sees_padding.py
"""

import torch
import transformers

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
torch.manual_seed(0)
config = transformers.ConvBertConfig(
    vocab_size=31, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, embedding_size=32,
    max_position_embeddings=32, initializer_range=0.3, pad_token_id=0,
)  # fmt: skip
model = transformers.ConvBertForMaskedLM(config).eval()
ids = torch.randint(1, 31, (1, 9), generator=torch.Generator().manual_seed(1))
mask = torch.ones(1, 9, dtype=torch.long)
mask[0, 6:] = 0
ids[0, 6:] = 0
with torch.no_grad():
    alone = model(ids[:, :6]).logits[0]
    padded = model(ids, attention_mask=mask).logits[0, :6]
print(
    f"six tokens with three of padding behind them are {(padded - alone).abs().max():.2g} away from the six alone, of {alone.abs().max():.2g}"
)
