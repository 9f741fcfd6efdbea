"""x-transformers 2.31.10: ff_no_bias=True leaves the bias in a gated feed-forward network's first map.

``FeedForward`` passes ``no_bias`` to its plain first map and to its last, and not to ``GLU``, whose ``proj`` always has a bias.
"""

from importlib.metadata import version

import torch
from x_transformers.x_transformers import FeedForward

print("x-transformers", version("x-transformers"), "torch", torch.__version__)
for glu in (False, True):
    network = FeedForward(8, glu=glu, no_bias=True)
    biases = [name for name, _ in network.named_parameters() if name.endswith("bias")]
    print(f"glu={glu}, no_bias=True: biases {biases}, and zeros become {network(torch.zeros(1, 8)).abs().max():.3f}")
