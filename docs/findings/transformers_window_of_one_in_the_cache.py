"""transformers: a sliding window of one token is a window of all tokens once there is a cache.

``DynamicSlidingWindowLayer`` keeps ``states[:, :, -sliding_window + 1 :]``, which for a window of one is ``states[:, :, 0:]``: everything.

Breaks Veriformer's cache.one-by-one-equals-the-full-pass. Run: python transformers_window_of_one_in_the_cache.py
"""

import torch
import transformers

print(f"transformers {transformers.__version__}, torch {torch.__version__}")
ids = torch.randint(1, 31, (2, 9), generator=torch.Generator().manual_seed(1))
for window in (1, 2, 3):
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=31, hidden_size=32, intermediate_size=40, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        initializer_range=0.3, sliding_window=window,
    )  # fmt: skip
    model = transformers.MistralForCausalLM(config).eval()
    past, steps = None, []
    with torch.no_grad():
        full = model(ids).logits
        for index in range(ids.shape[1]):
            output = model(ids[:, index : index + 1], past_key_values=past, use_cache=True)
            past, steps = output.past_key_values, [*steps, output.logits]
    apart = (torch.cat(steps, 1) - full).abs().max()
    print(f"sliding_window={window}: token by token, off by {apart:.2g} from the full pass, of {full.abs().max():.2g}")
