"""The command line's beginning and end: what runs before any command is loaded, and how a failure ends one.

A failure becomes one sentence and an exit code. The commands are in ``tui.commandline``.
"""

import os
import sys

from inventory.garbage import collect_seldom, leave_garbage
from tui.ahead import begin_ahead


def main() -> None:
    """Run the command that the arguments name, and exit as the contract says."""
    _fill_streams()
    collect_seldom()
    # For a tenth of a second every installed package would be searched for plugins of pydantic. gnomon has none.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    code = _run()
    leave_garbage()
    sys.exit(code)


def _fill_streams() -> None:
    """Give a standard stream that was closed the null device, before its number goes to a database or a connection."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode, encoding="utf-8"))


def _run() -> int:
    try:
        with begin_ahead(sys.argv[1:]):
            from tui.commandline import app

            app(standalone_mode=True)
    except SystemExit as stop:
        from tui.exits import Exit

        return stop.code if isinstance(stop.code, int) else Exit.FAILED
    except KeyboardInterrupt:
        sys.stderr.write("gnomon: interrupted\n")
        return 130
    except BrokenPipeError:
        # The reader of stdout is content; Python would complain once more when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        from tui.exits import exit_of, pointer_of, sentence_of

        code = exit_of(error)
        if code is None:
            raise
        from tui.output import narrate

        narrate(f"gnomon: {sentence_of(error)}")
        for line in pointer_of(error):
            narrate(f"  {line}")
        return code
    return 0


if __name__ == "__main__":
    main()
