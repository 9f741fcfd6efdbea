"""x-transformers 2.31.10: a model in bfloat16 or float16 cannot be given a padding mask.

``Attention.forward`` ends in ``einx.where('b n, b n d, -> b n d', mask, out, 0.)``, which makes float32 of a bfloat16 tensor; the next
linear map then raises. Without a mask, and in float32, all is well. Mend: ``out.masked_fill(~mask[..., None], 0.)``.
"""

from importlib.metadata import version

import torch
from x_transformers import Decoder, TransformerWrapper

print("x-transformers", version("x-transformers"), "torch", torch.__version__)
ids = torch.tensor([[1, 2, 3, 4, 5]])
mask = torch.tensor([[True, True, True, False, False]])
for dtype in (torch.float32, torch.bfloat16, torch.float16):
    model = TransformerWrapper(num_tokens=11, max_seq_len=16, attn_layers=Decoder(dim=24, depth=2, heads=4)).to(dtype)
    print(dtype, "without a mask:", model(ids).dtype, end="; with one: ")
    try:
        print(model(ids, mask=mask).dtype)
    except RuntimeError as error:
        print("RuntimeError:", error)
