"""A list to choose from, one or several, by key, by mouse or by typing its first letter."""

from collections.abc import Sequence
from typing import Any, ClassVar, NamedTuple

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.content import Content
from textual.events import Key
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.viewmodel.text import clean


class Choice(NamedTuple):
    """One thing to choose. ``on`` is whether it is chosen already, where several can be."""

    id: str
    text: str
    on: bool = False


class Choose(ModalScreen[tuple[str, ...] | None]):
    """Gives the ids of what was chosen, or None where it was left. ``many`` lets space toggle."""

    BINDINGS: ClassVar[list[Any]] = [
        Binding("escape", "leave", show=False),
        Binding("j", "down", show=False),
        Binding("k", "up", show=False),
    ]

    def __init__(self, title: str, choices: Sequence[Choice], *, many: bool = False) -> None:
        super().__init__()
        self._heading, self._choices, self._many = title, choices, many
        self._on = {choice.id for choice in choices if choice.on}

    def compose(self) -> ComposeResult:
        """Make the widgets."""
        with Vertical(id="choose") as box:
            box.border_title = self._heading
            box.border_subtitle = (
                "space toggles · enter done · esc leave" if self._many else "enter chooses · esc leave"
            )
            yield OptionList(*(Option(self._prompt(c), id=f"c-{i}") for i, c in enumerate(self._choices)))

    def _prompt(self, choice: Choice) -> Content:
        mark = ("☑ " if choice.id in self._on else "☐ ") if self._many else ""
        return Content(f"{mark}{clean(choice.text, 200)}")

    @property
    def options(self) -> OptionList:
        """The list."""
        return self.query_one(OptionList)

    def on_mount(self) -> None:
        """Take the focus."""
        self.options.focus()

    def on_key(self, event: Key) -> None:
        """Toggle by space where several can be chosen."""
        if event.key == "space" and self._many:
            event.stop()
            self._toggle(self.options.highlighted)

    def _toggle(self, at: int | None) -> None:
        if at is not None:
            self._on ^= {self._choices[at].id}
            self.options.replace_option_prompt_at_index(at, self._prompt(self._choices[at]))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        if self._many:
            self.dismiss(tuple(choice.id for choice in self._choices if choice.id in self._on))
        else:
            self.dismiss((self._choices[event.option_index].id,))

    def action_leave(self) -> None:
        """Leave without a choice."""
        self.dismiss(None)

    def action_down(self) -> None:
        """One down."""
        self.options.action_cursor_down()

    def action_up(self) -> None:
        """One up."""
        self.options.action_cursor_up()
