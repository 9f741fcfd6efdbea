"""The dispatch mode that everything here watches operations with."""

from torch.utils._python_dispatch import TorchDispatchMode


class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves this class without types
    """A ``TorchDispatchMode`` whose first use does not import ``torch._dynamo``.

    torch wraps every mode's handler so that compiled code steps around it, and the wrapper imports the compiler, which takes
    over a second. Nothing is compiled while a mode of ours is active, so the wrapper is declined where torch lets it be.
    """

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()  # type: ignore[no-untyped-call]  # as above

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # as above

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Asked by torch (2.7 and later) when a subclass is made."""
        return False
