"""No adapter at all: what is assumed of a class that somebody wrote without knowing of this project, and how that was found out.

Names say what may be meant, and trying decides: a way to construct and to call is believed where it gives what the role promises, a
mask's convention where it hides what it should hide and nothing else, a claim where the class equals the reference under it.
"""

from veriformer.assumed.assume import assume
from veriformer.assumed.draft import Draft, Origin, Undecided

__all__ = ["Draft", "Origin", "Undecided", "assume"]
