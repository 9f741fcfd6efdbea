"""What callers and subjects are told has gone wrong; apart from the rest so that it costs no import of torch."""


class UsageError(Exception):
    """The caller asked for something that does not exist or cannot be meant; the message says what, and what to do."""


class CannotLoad(Exception):  # the subject's failure, not ours
    """The target could not be imported: why, in one line."""


class Unsupported(Exception):  # a refusal, not an error: it reads ``raise veriformer.Unsupported(...)``
    """Raised by a subject to refuse one configuration: it is counted and said, and another is drawn."""
