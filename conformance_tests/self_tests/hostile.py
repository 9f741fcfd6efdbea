"""Hostile subjects: each misbehaves in one way, in a few lines; also as files, for the command."""

import ctypes
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import veriformer
from veriformer_spec.config import Config

Misbehave = Callable[..., Any]


class Layer(nn.Module):
    """A plain norm-less encoder layer's worth of work: token-wise, so that most clauses have something to say about it."""

    def __init__(self, d_model: int, misbehave: Misbehave | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(d_model)
        self.misbehave = misbehave

    def forward(self, x: Tensor) -> Tensor:
        """Layer normalisation, after whatever the subject does first."""
        if self.misbehave is not None:
            other = self.misbehave(x)
            if other is not None:
                return other  # type: ignore[no-any-return]  # whatever it is: that is the point
        normalised: Tensor = self.norm(x)
        return normalised


def norm(
    misbehave: Misbehave | None = None, *, on_build: Callable[[], Any] | None = None
) -> Callable[[Config], nn.Module]:
    """A layer normalisation that misbehaves when it is called, or when it is built."""

    @veriformer.subject("layer-norm")
    def build(config: Config) -> nn.Module:
        if on_build is not None:
            on_build()
        return Layer(config.d_model, misbehave)

    return build


def never_returns(_: object = None) -> None:
    """An endless loop in Python."""
    while True:
        pass


def never_returns_from_c(_: object = None) -> None:
    """An endless loop in C, which holds the interpreter's lock and hears no signal handler."""
    ctypes.pythonapi.PySys_GetObject  # noqa: B018  # the library is there
    sum(iter(int, 1))


def segfaults(_: object = None) -> None:
    """Read address zero."""
    ctypes.string_at(0)


def leaves(_: object = None) -> None:
    """End the process without a word."""
    os._exit(5)


def exits(_: object = None) -> None:
    """End the process as scripts do."""
    sys.exit(3)


def raises(_: object = None) -> None:
    """Raise."""
    raise RuntimeError("I would rather not")


def prints(_: object = None) -> None:
    """Write on every channel there is."""
    print("PRINTED")
    print("PRINTED", file=sys.stderr)
    os.write(1, b"PRINTED\n")
    os.write(2, b"PRINTED\n")


def sleeps(_: object = None) -> None:
    """Take long."""
    time.sleep(60)


def wants_memory(_: object = None) -> None:
    """Ask for a terabyte."""
    torch.ones(2**40, dtype=torch.uint8)
