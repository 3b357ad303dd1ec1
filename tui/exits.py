"""Exit codes, and which failure ends with which: the command line's contract."""

from enum import IntEnum


class Exit(IntEnum):
    """What the shell is told."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    INCOMPLETE = 3
    REFUSED = 4


class CommandError(Exception):
    """A command that cannot go on. Its text is one sentence that says what to do."""

    def __init__(self, sentence: str, code: Exit = Exit.BAD_INPUT) -> None:
        super().__init__(sentence)
        self.code = code


def exit_of(error: Exception) -> Exit | None:
    """How a failure of the layers below ends a command; None for a defect of gnomon itself.

    The layers' error types are imported here, after the fact, so that starting costs nothing.
    """
    from pydantic import ValidationError

    from inventory.cron import ScheduleError
    from inventory.lifecycle import TransitionError
    from inventory.query import QueryError
    from inventory.settings import SettingsError
    from inventory.store import StoreError
    from router.errors import GatewayError, RouteError
    from scanner.journal import JournalError
    from scanner.knowledge import SignatureError
    from scanner.plan import NotAuthorised
    from scanner.ports import PortsError
    from scanner.quiet import QuietError
    from scanner.runner import ScanBusy
    from scanner.targets import TargetError
    from tui.demo.process import DemoError
    from tui.keymap import KeymapError

    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, NotAuthorised):
        return Exit.REFUSED
    asked_wrongly = (
        TargetError,
        PortsError,
        QuietError,
        SignatureError,
        QueryError,
        SettingsError,
        TransitionError,
        RouteError,
        KeymapError,
        ScheduleError,
        ValidationError,
    )
    if isinstance(error, asked_wrongly):
        return Exit.BAD_INPUT
    if isinstance(error, LookupError) and type(error) is LookupError:
        return Exit.BAD_INPUT
    if isinstance(error, StoreError | GatewayError | ScanBusy | JournalError | DemoError | OSError):
        return Exit.FAILED
    return None


def sentence_of(error: Exception) -> str:
    """What a person is told of a failure: one sentence."""
    from pydantic import ValidationError

    if not isinstance(error, ValidationError):
        return str(error)
    problem = error.errors()[0]
    where = ".".join(str(part) for part in problem["loc"])
    what = problem["msg"].removeprefix("Value error, ")
    return f"{where}: {what} (got {problem['input']!r})" if where else what


def pointer_of(error: BaseException) -> list[str]:
    """The lines that show where in the input a failure is, where it says so: the input, and a caret below it."""
    return str(getattr(error, "pointer", "")).splitlines()
