"""Fixtures and settings of the self-tests."""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Tiny forwards are several times slower with two threads than with one."""
    torch.set_num_threads(1)
