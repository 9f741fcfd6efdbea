"""One cache of mypy for all tests of the plugin: torch is read once."""

from pathlib import Path

import pytest

from self_tests.shapes.mypy_runs import run_mypy, write


@pytest.fixture(scope="session")
def warm_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that holds torch, jaxtyping and einops."""
    folder = tmp_path_factory.mktemp("warm")
    write(
        folder,
        warm="import einops, torch, torch.nn.functional\nfrom jaxtyping import Float\n"
        "from veriformer_shapes import reveal_shape\n",
    )
    run_mypy(folder, "warm.py", cache=folder / "cache")
    return folder / "cache"
