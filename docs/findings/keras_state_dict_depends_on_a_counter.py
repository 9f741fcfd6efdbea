"""keras 3.15.1 on torch: a layer's state_dict cannot be loaded into another layer of the same class.

The keys hold the layer's automatic name, which counts the layers made in this process: ``multi_head_attention/...``, then
``multi_head_attention_1/...``. A name that is given (``name="attention"``) helps.
"""

import os

os.environ["KERAS_BACKEND"] = "torch"
from importlib.metadata import version

import keras
import torch

print("keras", version("keras"), "torch", torch.__version__)
for named in ({}, {"name": "attention"}):
    one, other = (keras.layers.MultiHeadAttention(2, 4, **named) for _ in range(2))
    for each in (one, other):
        each.build((None, None, 8), (None, None, 8))
    try:
        print(named or "no name given", other.load_state_dict(one.state_dict()))
    except RuntimeError as error:
        print(named or "no name given", "RuntimeError:", str(error).splitlines()[1].strip()[:90])
