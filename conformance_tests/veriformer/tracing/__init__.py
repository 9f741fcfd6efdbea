"""Tracing: one sentence on its way through a Transformer, from ids to probabilities, with the names of the specification."""
