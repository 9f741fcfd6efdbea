"""keras 3.15.1 on torch: MultiHeadAttention ignores the query_mask that it is passed; GroupQueryAttention uses it.

``MultiHeadAttention.call`` overwrites the argument: ``query_mask = backend.get_keras_mask(query)``, which is None unless an ``Embedding`` or a
``Masking`` layer came before.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"
from importlib.metadata import version

import keras
import torch

print("keras", version("keras"), "torch", torch.__version__)
keras.utils.set_random_seed(0)
x, mask = torch.randn(1, 3, 8), torch.tensor([[True, True, False]])
for layer in (keras.layers.MultiHeadAttention(2, 4), keras.layers.GroupQueryAttention(4, 2, 2)):
    _, scores = layer(x, x, query_mask=mask, return_attention_scores=True)
    _, plain = layer(x, x, return_attention_scores=True)
    print(
        f"{type(layer).__name__}: query_mask changes the weights by {float((scores - plain).abs().max()):.1e}", end=" "
    )
    print("of the masked query", scores[0, 0, 2].tolist())
