"""Training: gradients that are the derivative of what was computed."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import ALL, PARAMETRIC

EVERY_PARAMETER_GETS_A_GRADIENT = Clause(
    id="training.every-parameter-gets-a-gradient",
    text="every parameter that requires a gradient gets one that is not zero, except one that cannot matter, such as a key's bias",
    source="Vaswani et al. 2017, section 5.3; softmax ignores a constant added to a row of scores, so a key's bias is dead",
    breaks="a detach, a .data, a module built and never called",
    roles=PARAMETRIC,
)
GRADIENTS_ARE_THE_DERIVATIVE = Clause(
    id="training.gradients-are-the-derivative",
    text="along a random direction of inputs and parameters, the gradient agrees with the central difference of the output",
    source="Goodfellow et al. 2016, Deep Learning, section 11.5; PyTorch documentation, torch.autograd.gradcheck",
    breaks="keys or weights detached, a custom backward that forgets the mask or the scale",
    roles=ALL,
)
