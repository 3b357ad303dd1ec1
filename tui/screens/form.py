"""One form for every change: what it is about, what to fill in, what it will do, and whether to do it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from tui.viewmodel.text import Line, Run, Tone, line, wrap
from tui.widgets.plate import Plate

T = TypeVar("T")


class Field(NamedTuple):
    """One text to fill in."""

    id: str
    label: str
    value: str = ""
    placeholder: str = ""


class Form(ModalScreen[T | None], Generic[T]):
    """Gives what ``read`` makes of the fields, or None when it was left.

    ``read`` raises ValueError with a sentence until the fields make sense; only then can the form be
    confirmed. ``preview`` tells, for a width, what confirming will do.
    """

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "leave", "Leave", show=False),
        Binding("ctrl+s", "confirm", "Confirm", show=False, priority=True),
    ]

    def __init__(
        self,
        title: str,
        about: Sequence[Line],
        fields: Sequence[Field],
        read: Callable[[Mapping[str, str]], T],
        preview: Callable[[T, int], Sequence[Line]],
        verb: str = "Confirm",
    ) -> None:
        super().__init__()
        self._about, self._fields, self._verb, self._heading = about, fields, verb, title
        self._read, self._preview = read, preview
        self._touched = False

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        with VerticalScroll(id="form", can_focus=False) as box:
            box.border_title = line_title(self._heading)
            box.border_subtitle = "enter next · ctrl+s confirm · esc leave"
            yield Plate(lambda _: self._about)
            for field in self._fields:
                yield Label(field.label, markup=False)
                yield Input(value=field.value, placeholder=field.placeholder, id=field.id, select_on_focus=True)
            yield Plate(self._said, id="preview")
            with Horizontal(id="buttons"):
                yield Button("Leave", id="leave")
                yield Button(self._verb, id="confirm", disabled=True)

    def on_mount(self) -> None:
        """Fill the widgets for the first time."""
        self._check()

    def values(self) -> dict[str, str]:
        """What stands in the fields, by id."""
        return {field.id: self.query_one(f"#{field.id}", Input).value for field in self._fields}

    @on(Input.Changed)
    def _changed(self) -> None:
        self._touched = True
        self._check()

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        ids = [field.id for field in self._fields]
        at = ids.index(event.input.id or ids[-1])
        if at + 1 < len(ids):
            self.query_one(f"#{ids[at + 1]}", Input).focus()
        elif not self.query_one("#confirm", Button).disabled:
            self.query_one("#confirm", Button).focus()

    @on(Button.Pressed, "#leave")
    def action_leave(self) -> None:
        """Leave without a change."""
        self.dismiss(None)

    @on(Button.Pressed, "#confirm")
    def action_confirm(self) -> None:
        """Give what the fields say, once they make sense."""
        try:
            value = self._read(self.values())
        except ValueError:
            self._touched = True
            self._check()
            return
        self.dismiss(value)

    def _check(self) -> None:
        try:
            self._read(self.values())
        except ValueError:
            ready = False
        else:
            ready = True
        self.query_one("#confirm", Button).disabled = not ready
        self.query_one("#preview", Plate).show(self._said)

    def _said(self, width: int) -> list[Line]:
        if not self.is_mounted:
            return []
        try:
            value = self._read(self.values())
        except ValueError as error:
            tone = Tone.WARN if self._touched else Tone.MUTED
            return [line(Run(part, tone)) for part in wrap(str(error), width)]
        return list(self._preview(value, width))


def line_title(text: str) -> str:
    """A title for a border: brackets would be markup there."""
    return text.replace("[", "(").replace("]", ")")
