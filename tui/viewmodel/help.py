"""The help page, made from the action registry."""

from collections.abc import Mapping
from itertools import groupby

from tui.actions import ACTIONS, BY_ID, offered
from tui.checks import Context
from tui.viewmodel.detail import heading
from tui.viewmodel.text import Line, Run, Tone, fit, line

GRAMMAR = (
    ("kind:notebook,ml-ui", "one of these words; * stands for any letters"),
    ("owner:*  -owner:*", "has an owner; has none"),
    ("risk>70  port<1024", "numbers"),
    ("seen<7d  new>2w", "ages: s m h d w"),
    ('site:"lab a"', "words with spaces"),
    ("predict", "anywhere in what you would recognise it by"),
)


def page(context: Context, keys: Mapping[str, str], width: int) -> list[Line]:
    """Every action in its group with its keys, and why some of them are not possible on the screen it was opened from.

    ``keys`` maps an action's id to its keys as a person says them.
    """
    here = {action.id for action in offered(context.place)}
    lines: list[Line] = []
    for group, actions in groupby(ACTIONS, key=lambda action: action.group):
        lines += [heading(group.upper(), width)]
        for action in actions:
            reason = BY_ID[action.id].blocked(context) if action.id in here else None
            tone = Tone.PLAIN if action.id in here and not reason else Tone.MUTED
            label = fit(line(Run(keys[action.id], Tone.ACCENT if tone is Tone.PLAIN else Tone.MUTED)), 14)
            note = Run(f"  — {reason}", Tone.WARN) if reason else Run("")
            lines.append(
                fit((*label, *fit(line(Run(action.title, tone)), 12), *line(Run(action.help, tone), note)), width)
            )
        lines.append(())
    lines.append(heading("FILTER", width, "the same as on the command line"))
    lines += [fit(line(*fit(line(Run(text, Tone.ACCENT)), 26), meaning), width) for text, meaning in GRAMMAR]
    return lines
