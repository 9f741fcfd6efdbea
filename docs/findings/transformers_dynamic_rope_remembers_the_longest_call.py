"""transformers: with rope_type "dynamic", what a call returns depends on the calls made before it.

Frequencies are made anew when a call is longer than any before, and go back only when one fits into the original length. A call of a
length in between is computed with the frequencies of the longest call so far: the same ids give other logits.

Breaks Veriformer's state.calls-are-independent. Run: python transformers_dynamic_rope_remembers_the_longest_call.py
"""

import torch
import transformers

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
torch.manual_seed(0)
config = transformers.LlamaConfig(
    vocab_size=31, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, initializer_range=0.3,
    max_position_embeddings=8, rope_parameters={"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0},
)  # fmt: skip
model = transformers.LlamaForCausalLM(config).eval()
ids = torch.randint(1, 31, (1, 40))
with torch.no_grad():
    before = model(ids[:, :12]).logits
    model(ids)  # somebody else's call, of 40 tokens
    after = model(ids[:, :12]).logits
    model(ids[:, :4])  # one that fits into the original length
    reset = model(ids[:, :12]).logits
print(f"12 tokens, after a call of 40: off by {(after - before).abs().max():.3g}, of {before.abs().max():.3g}")
print(f"12 tokens, after a call of 4:  off by {(reset - before).abs().max():.3g}")
