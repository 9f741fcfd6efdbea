"""x-transformers 2.31.10: with tie_embedding=True a deep copy makes its logits with the original's embedding.

``to_logits`` is a lambda over ``self``, and a deep copy of a function is the function. An averaged copy (EMA), or a copy that is trained on,
goes on using the table that it was copied from. Mend: a method, which a copy binds anew.
"""

import copy
from importlib.metadata import version

import torch
from x_transformers import Decoder, TransformerWrapper

print("x-transformers", version("x-transformers"), "torch", torch.__version__)
torch.manual_seed(0)
layers = Decoder(dim=24, depth=1, heads=4)
model = TransformerWrapper(num_tokens=11, max_seq_len=16, tie_embedding=True, attn_layers=layers).eval()
other = copy.deepcopy(model)
ids = torch.tensor([[1, 2, 3]])
with torch.no_grad():
    before = other(ids)
    model.token_emb.emb.weight.zero_()  # the original's table
    print(
        "after the original's embedding is set to zero, the copy's logits are", other(ids).abs().max().item(), end="; "
    )
    print("before, the largest was", f"{before.abs().max():.2f}")
