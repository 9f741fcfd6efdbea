"""The specification: what a Transformer must do, clause by clause, with sources.

This package holds sentences, roles and words, and no implementation. The same chapter names
stand in ``veriformer_reference`` (what it looks like when a clause holds) and in
``veriformer.suite`` (how it is tested).
"""

__version__ = "0.1.0"
