"""Faults in what belongs to a module, written as tutorials write a Transformer: lists, closures, late initialisation."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

from torch import nn

import veriformer
from veriformer.faults import tutorial
from veriformer.faults.fault import Fault
from veriformer_spec import device, state


@veriformer.subject("encoder")
def python_list(config):
    class Listed(nn.Module):
        def __init__(self):
            super().__init__()
            self.blocks = [tutorial.Block(config) for _ in range(config.layers)]
            self.last = nn.Linear(config.d_model, config.d_model)

        def forward(self, x, mask=None):
            for block in self.blocks:
                x = block.train(self.training)(x, mask)
            return self.last(x)

    return Listed()


LAYERS_IN_A_PLAIN_LIST = Fault(
    id="layers-in-a-plain-list",
    sentence="layers are kept in a Python list: nothing trains, moves, casts or saves them",
    clauses=(
        state.STATE_DICT_HOLDS_THE_WHOLE_FUNCTION,
        state.EVERY_PARAMETER_IS_REGISTERED,
        device.EVERYTHING_FOLLOWS_THE_MODULE,
    ),
    source="experience",
    written="self.layers = [Block(config) for _ in range(n)]",
    mend="self.layers = nn.ModuleList(Block(config) for _ in range(n))",
    builds=(python_list,),
)


@veriformer.subject("feed-forward")
def initialised_when_first_called(config):
    class Late(tutorial.FeedForward):
        started = False

        def forward(self, x):
            if not self.started:
                nn.init.xavier_uniform_(self.outer.weight)
                self.started = True
            return super().forward(x)

    return Late(config)


INITIALISED_AT_THE_FIRST_CALL = Fault(
    id="initialised-at-the-first-call",
    sentence="a layer is initialised at the first call, after a checkpoint was loaded into it",
    clauses=(state.STATE_DICT_HOLDS_THE_WHOLE_FUNCTION,),
    source="arXiv 2604.28118 (DEFault++), operator ORI",
    written="if not self.initialised: self.reset_parameters()",
    mend="initialise in __init__",
    builds=(initialised_when_first_called,),
)


@veriformer.subject("feed-forward")
def closure_over_self(config):
    class Closed(tutorial.FeedForward):
        def __init__(self, config):
            super().__init__(config)
            self.steps = [lambda x: self.inner(x).relu(), lambda x: self.outer(x) + x * 0]

        def forward(self, x):
            for step in self.steps:
                x = step(x)
            return x

    return Closed(config)


STEPS_CLOSE_OVER_THE_ORIGINAL = Fault(
    id="steps-close-over-the-original",
    sentence="functions made in __init__ close over self: a deep copy computes with the original's weights",
    clauses=(state.EVERY_PARAMETER_IS_REGISTERED,),
    source="experience",
    written="self.steps = [lambda x: self.linear(x)]",
    mend="keep modules in an nn.Sequential, and call them from forward",
    builds=(closure_over_self,),
)
