"""What the interpreter may do while somebody looks at the screen.

Two things make a screen of Python stutter that has nothing to compute. The garbage collector goes through all
objects now and then, and an app's styles and a database's tables are some hundred thousand: a quarter of a second.
And a thread that computes is asked for the interpreter only every few milliseconds, while a key that is handled gives
it away a dozen times.
"""

import gc
import sys

SWITCH_SECONDS = 0.0005
"""After so long, a thread that reads leaves the interpreter to the one that draws."""


YOUNG, ROUNDS = 10_000, 50
"""So many new objects are gone through at a time, and after so many times what was left of them: a key makes
thousands, and the usual 700 and 10 go through them again and again while it is handled."""


def starting() -> None:
    """Collect nothing until the first screen is there: what is made before that stays."""
    gc.disable()
    sys.setswitchinterval(SWITCH_SECONDS)


def started() -> None:
    """Leave all that was made so far out of every later collection."""
    gc.freeze()
    gc.set_threshold(YOUNG, ROUNDS)
    gc.enable()
