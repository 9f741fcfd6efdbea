"""torchtune 0.6.1: beyond its sliding window, cached gemma2 looks at the wrong tokens.

``Gemma2Attention.forward`` counts the window from the first row of the mask that it is passed. In a cached step that row is the new token's,
not the first token's: it sees slots 0 to window - 1, and neither its neighbours nor itself. Mend: count from ``input_pos``.
"""

from importlib.metadata import version

import torch
from torchtune.models.gemma2 import gemma2

print("torchtune", version("torchtune"), "torch", torch.__version__)
torch.manual_seed(0)
model = gemma2(
    vocab_size=61, num_layers=1, num_heads=4, head_dim=8, num_kv_heads=2, embed_dim=32, intermediate_dim=40, max_seq_len=24,
    sliding_window_size=4,
).eval()  # fmt: skip
ids, triangle = torch.arange(1, 13)[None], torch.ones(24, 24, dtype=torch.bool).tril()
with torch.no_grad():
    for parameter in model.parameters():
        parameter.normal_(std=0.3)
    full = model(ids)
    model.setup_caches(1, torch.float32, decoder_max_seq_len=24)
    for index in range(12):
        place = torch.tensor([[index]])
        step = model(ids[:, index : index + 1], mask=triangle[place[0]][None], input_pos=place)
        apart = (step[:, 0] - full[:, index]).abs().max() / full.abs().max()
        print(f"window 4, token {index}: cached logits differ by {apart:.1e} of the logits' size")
