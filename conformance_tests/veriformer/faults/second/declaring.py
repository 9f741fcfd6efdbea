"""How a member of the second family is declared: as any adapter would, and without a word about its weights."""

# mypy: ignore-errors
# Other people's code, written the way they write it: without types.

import veriformer


def declare(role, make, fault=None, **declared):
    """A build function that calls ``make(config, fault)``, declared for ``role``; ``declared`` are claims, or steps or module."""

    def build(config):
        return make(config, fault)

    build.__name__ = f"second.{make.__name__}" + (f" with {fault}" if fault else "")
    return veriformer.subject(role, **declared)(build)
