"""Training: gradients that are the derivative of what was computed."""

from veriformer_spec.clause import Clause
from veriformer_spec.role import ALL, LAYERED, PARAMETRIC, PROJECTED, Role

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
GRADIENTS_EQUAL_THE_REFERENCE = Clause(
    id="training.gradients-equal-the-reference",
    text="with the subject's weights, the gradient of every mapped parameter equals the reference's",
    source="Vaswani et al. 2017, section 5: training by gradient; Rumelhart et al. 1986, equation 6",
    breaks="a tensor detached, a gradient scaled, stopped or doubled on the way, a parameter used twice and counted once",
    roles=PROJECTED,
)
GRADIENTS_RESPECT_THE_MASK = Clause(
    id="training.gradients-respect-the-mask",
    text="the outputs at positions that cannot see a token send it no gradient",
    source="Vaswani et al. 2017, section 3.2.3: illegal connections are masked out",
    breaks="a mask applied to the forward values by a straight-through trick, padding that trains the embedding",
    roles=PROJECTED,
    needs_masks=("padding", "causal"),
)
EVALUATION_IGNORES_THE_RATE = Clause(
    id="training.evaluation-ignores-the-dropout-rate",
    text="in evaluation a subject built with any dropout rate computes what it computes at rate 0",
    source="Srivastava et al. 2014, section 4: at test time the unit is always present",
    breaks="outputs scaled by the rate in evaluation, functional dropout that is always on, inverted dropout undone twice",
    roles=(Role.ENCODER_LAYER, Role.DECODER_LAYER, *LAYERED),
)
DROPOUT_DIFFERS_IN_EACH_CALL_AND_ROW = Clause(
    id="training.dropout-differs-in-each-call-and-row",
    text="in training at a rate above zero, two calls differ, and two equal rows of one batch differ, where dropout is claimed",
    source="Srivastava et al. 2014, section 4: r is drawn for each case",
    breaks="one mask kept for all calls, one mask for the whole batch, a seed set inside forward",
    roles=(Role.ENCODER_LAYER, Role.DECODER_LAYER, *LAYERED),
    when={"dropout": ("on",)},
)
DROPOUT_KEEPS_AT_THE_CLAIMED_RATE = Clause(
    id="training.dropout-drops-at-the-claimed-rate",
    text="dropout at rate p sets each feature to zero with probability p, each on its own",
    source="Srivastava et al. 2014, section 4: Bernoulli variables; PyTorch documentation, torch.nn.Dropout",
    breaks="p and 1 - p exchanged, whole tokens or whole features dropped together, a rate that is written in the code",
    roles=(Role.DROPOUT,),
)
DROPOUT_IS_UNBIASED = Clause(
    id="training.dropout-is-unbiased",
    text="what dropout keeps it multiplies by 1/(1-p), and in evaluation it returns its input",
    source="Srivastava et al. 2014, section 10, inverted; PyTorch documentation, torch.nn.Dropout",
    breaks="no rescaling, rescaling by 1 - p, rescaling in evaluation",
    roles=(Role.DROPOUT,),
)
LOSS_EQUALS_ITS_EQUATION = Clause(
    id="training.the-loss-is-the-mean-over-real-tokens",
    text="the loss is minus the mean over real target tokens of the log-probability of the target, in nats",
    source="Vaswani et al. 2017, section 5; Goodfellow et al. 2016, section 6.2.1.1",
    breaks="the mean over all positions, padding among them; the mean of each sequence's mean; a sum; logits taken as probabilities",
    roles=(Role.LOSS,),
)
LOSS_IGNORES_PADDING = Clause(
    id="training.the-loss-ignores-padding",
    text="neither the loss nor its gradient changes with the logits at positions whose target is padding, nor with their number",
    source="Vaswani et al. 2017, section 5.1: batches of sentence pairs; PyTorch documentation, cross_entropy: ignore_index",
    breaks="ignore_index left at -100, the mask inverted, the mask of the inputs used for the shifted targets",
    roles=(Role.LOSS,),
)
TARGETS_ARE_SHIFTED_BY_ONE = Clause(
    id="training.targets-are-shifted-by-one",
    text="where the loss shifts, the logits at position t are set against the id at t + 1, and the last logits and the first id against nothing",
    source="Vaswani et al. 2017, section 3.1: the output embeddings are offset by one position; Radford et al. 2019, section 2, equation 1",
    breaks="no shift, so that the model learns to copy its input; two shifts; a shift the other way",
    roles=(Role.LOSS,),
    when={"shifts": (True, False)},
)
LABEL_SMOOTHING_EQUALS_ITS_EQUATION = Clause(
    id="training.label-smoothing-equals-its-equation",
    text="with label smoothing e the target distribution is 1 - e on the target plus e spread evenly, over all classes or all others as claimed",
    source="Szegedy et al. 2016, section 7; Vaswani et al. 2017, section 5.4: e = 0.1",
    breaks="the share spread over vocab where vocab - 1 is claimed, the padding class left in or out, the target counted twice",
    roles=(Role.LOSS,),
    when={"smoothing": ("all-classes", "other-classes")},
)
LEARNING_RATE_EQUALS_EQUATION_3 = Clause(
    id="training.learning-rate-equals-equation-3",
    text="at step s (the first is 1) the learning rate is d_model^(-1/2) · min(s^(-1/2), s · warmup^(-3/2))",
    source="Vaswani et al. 2017, section 5.3, equation 3",
    breaks="the exponent's sign, max for min, a step 0 that divides by zero, warmup^(-1/2)",
    roles=(Role.LEARNING_RATE_SCHEDULE,),
)
LEARNS_TO_COPY = Clause(
    id="training.a-small-model-learns-to-copy",
    text="trained for a minute on copying its input, a small model copies unseen inputs, and does not collapse to the end token or to padding",
    source="Vaswani et al. 2017, section 5; Graves et al. 2014, section 4.1: the copy task",
    breaks="any silent mistake that starves the gradient: a loss over padding, targets without the shift, a mask that hides too much",
    roles=(Role.CAUSAL_LM, Role.ENCODER_DECODER),
)
