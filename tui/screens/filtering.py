"""The line that a filter is typed into: it takes effect as one types, and completes fields and values."""

import asyncio
from abc import abstractmethod
from typing import Any, ClassVar

from textual import on
from textual.suggester import Suggester
from textual.widgets import Input
from typing_extensions import override

from inventory.query import Query, QueryError, parse
from inventory.store import Store, StoreError
from tui.screens.listing import Listing
from tui.session import Session
from tui.viewmodel import completion


class FilterSuggester(Suggester):
    """Completes what is typed: fields from the grammar, values from its words or from the store."""

    def __init__(self, store: Store) -> None:
        super().__init__(use_cache=False, case_sensitive=True)
        self._store = store

    @override
    async def get_suggestion(self, value: str) -> str | None:
        field, beginning = completion.open_term(value)
        known = completion.words_of(field)
        if field is not None and known is None:
            try:
                known = tuple(await asyncio.to_thread(self._store.pages.values, field, beginning))
            except (KeyError, StoreError):
                return None
        return completion.completed(value, known)


class FilterInput(Input):
    """The line that a filter is typed into."""

    BINDINGS: ClassVar[list[Any]] = [
        ("escape", "screen.leave_filter"),
        ("down", "screen.leave_filter(True)"),
        ("tab", "cursor_right"),
    ]


class Filtering(Listing):
    """A listing that is filtered by the grammar of the command line."""

    FILTER: ClassVar[str] = "kind:notebook posture:open -owner:* seen<7d risk>70 or any words"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self.filter_text = ""
        self.filter_error = ""
        self._before_filter = ""

    @abstractmethod
    def filtered(self, query: Query) -> None:
        """Take a filter into use."""

    @property
    def box(self) -> FilterInput:
        """The filter's line."""
        return self.query_one("#filter", FilterInput)

    def compose(self) -> Any:
        """Make the widgets."""
        for widget in super().compose():
            if widget.id == "body":
                yield FilterInput(
                    placeholder=self.FILTER, id="filter", select_on_focus=False,
                    suggester=FilterSuggester(self.session.store),
                )  # fmt: skip
            yield widget

    def set_filter(self, text: str) -> str:
        """Use a filter from elsewhere. What is wrong with it, or ""."""
        with self.prevent(Input.Changed):
            self.box.value = text
        self._settle(text)
        wrong = self.filter_error
        self._leave_box()
        return wrong

    def _do_find_filter(self) -> None:
        self._before_filter = self.filter_text
        self.box.add_class("shown")
        self.box.focus()

    def clear_filter(self) -> bool:
        """Clear the filter. False where there is none."""
        if not self.filter_text:
            return False
        self.set_filter("")
        return True

    def action_leave_filter(self, keep: bool = False) -> None:
        """Back to the table. Esc restores the filter as it was before."""
        if not keep:
            self.box.value = self._before_filter
            self._settle(self._before_filter)
        self._leave_box()

    @on(Input.Changed, "#filter")
    def _typed(self) -> None:
        if self.box.value != self.filter_text or self.filter_error:
            self._settle(self.box.value)

    @on(Input.Submitted, "#filter")
    def _submitted(self) -> None:
        self._typed()
        self._leave_box()

    def _settle(self, text: str) -> None:
        try:
            query = parse(text, self.session.snapshot.views)
        except QueryError as error:
            self.filter_error = str(error)
        else:
            self.filter_error, self.filter_text = "", text
            self.filtered(query)
        self.box.set_class(bool(self.filter_error), "wrong")
        self.draw_bars()

    def _leave_box(self) -> None:
        if self.filter_error:
            with self.prevent(Input.Changed):
                self.box.value = self.filter_text
            self.filter_error = ""
            self.box.remove_class("wrong")
        self.box.set_class(bool(self.filter_text), "shown")
        self.table.focus()
        self.draw_bars()
