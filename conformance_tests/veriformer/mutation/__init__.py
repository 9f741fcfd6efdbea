"""Mutation: how strong is the suite? An unbiased figure, because nobody chose the mistakes.

The catalogue's faults were written by people who knew the clauses. Here every function of the reference is changed by
operators over its syntax tree (``operators.OPERATORS``), one change at a time, and each mutant is judged through the ordinary
door: planted as a catalogued fault is, while the subject's own call runs, in every subject whose call runs the changed line,
at budget quick, until one clause kills it.

Why no ready-made tool: mutmut chooses the mutant for a whole process, and cosmic-ray rewrites the file before it starts one.
Here the subject and the oracle are the same code in the same process, so that a mutant of either kind is in both, and every
comparison with the reference passes.

A mutant that survives is explained in ``explained``: it computes the same (equivalent), or is free by the specification, or
shows a hole. ``nox -s mutants`` judges what is not judged yet and writes ``docs/mutants.md``.
"""
