"""x-transformers 2.31.10: three options let a Decoder see the future, and padding.

``orthog_project`` flattens time and features together, so that ``attn_orthog_projected_values`` and ``orthog_residual`` project the whole
sequence on the whole sequence, not token on token; ``mv_split_residual`` subtracts the mean over all positions, later ones included.
Trained so, a decoder reads what it shall predict. Mend: project over the last axis alone; a running mean where attention is causal.
"""

from importlib.metadata import version

import torch
from x_transformers import Decoder, TransformerWrapper

print("x-transformers", version("x-transformers"), "torch", torch.__version__)
ids = torch.tensor([[1, 2, 3, 4, 5, 6]])
other = torch.tensor([[1, 2, 3, 4, 5, 9]])  # another last token
options = (
    "",
    "attn_orthog_projected_values",
    "attn_orthog_projected_values_per_head",
    "orthog_residual",
    "mv_split_residual",
)
for option in options:
    torch.manual_seed(0)
    layers = Decoder(dim=24, depth=2, heads=4, **{option: True} if option else {})
    model = TransformerWrapper(num_tokens=11, max_seq_len=16, attn_layers=layers).eval()
    with torch.no_grad():
        apart = (model(ids) - model(other))[:, :5].abs().max()
    print(f"{option or 'default':40s} the last token changes the logits before it by {apart:.1e}")
