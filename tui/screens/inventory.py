"""What the two listings of endpoints share: reading only what is in view, order, columns, marks, saved views."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual import on, work
from typing_extensions import override

from inventory.listing import Order
from inventory.model import Endpoint
from inventory.query import Query
from tui.checks import Context
from tui.feed import Feed
from tui.kept import Sorting
from tui.screens.changing import REFUSALS
from tui.screens.choose import Choice, Choose
from tui.screens.filtering import Filtering
from tui.screens.form import Field, Form
from tui.screens.triage import Triaging
from tui.session import Session
from tui.viewmodel import copy, detail, endpoints
from tui.viewmodel.marks import Marks
from tui.viewmodel.text import Line, Run, Tone, line
from tui.widgets.table import RowTable

AT_ONCE = 1000
"""Rows that are read at a time for an export."""


class Inventory(Triaging, Filtering):
    """A listing of endpoints. ``GAPS`` keeps only the ones that are gaps."""

    GAPS: ClassVar[bool] = False
    DEFAULT: ClassVar[tuple[str, ...]] = endpoints.DEFAULT

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        kept = session.kept.orders.get(self.PLACE, Sorting())
        self.feed = Feed(session.store, endpoints.order_of(kept.by, descending=kept.descending), gaps=self.GAPS)
        self.marks = Marks()
        self.columns = endpoints.chosen(session.kept.columns.get(self.PLACE, ()), self.DEFAULT)
        self._ordering = self.repeat(self._reorder)
        self._loading = self.repeat(self._load)

    # Reading

    @override
    def news(self) -> None:
        if self.session.shown < 0:
            return
        if self.feed.due(self.session.shown):
            self._ordering.ask()
        if self.is_mounted and self.feed.lacks(self.table.view):
            self._loading.ask()

    @override
    def hurry(self) -> None:
        self.feed.hurry()

    async def _reorder(self) -> None:
        async with self.session.one_at_a_time:
            await self.feed.follow(self.now)
        self.marks = self.marks.kept(self.feed.keys) if not self.feed.query.terms else self.marks
        self.draw()
        self.draw_bars()
        self.news()

    async def _load(self) -> None:
        while self.feed.lacks(self.table.view):
            changed = await self.feed.load(self.table.view)
            self.table.refresh_rows(changed)
            if self.table.key in changed:
                self.draw_pane()
                self.draw_bars()

    @on(RowTable.Looked)
    def _looked(self) -> None:
        self.news()

    # Showing

    @override
    def fill(self, table: RowTable) -> None:
        feed = self.feed
        shown = endpoints.table(
            feed.keys, feed.rows.get, feed.order, self.now, self.columns, empty=self.nothing(),
        )  # fmt: skip
        table.show(shown, self.marks.marked)

    def nothing(self) -> tuple[str, ...]:
        """What is said where there are no rows."""
        return endpoints.empty(loaded=self.feed.loaded, filtered=bool(self.feed.query.terms))

    @override
    def pane_lines(self, key: str, width: int) -> list[Line]:
        endpoint = self.feed.rows.get(key)
        return detail.pane(endpoint, width, self.now) if endpoint else []

    @override
    def open_row(self, key: str) -> None:
        self.gnomon.open("endpoint", key)

    @override
    def context(self) -> Context:
        key = self.table.key if self.is_mounted else None
        marked = len(self.marks.marked)
        endpoint = self.feed.rows.get(key) if key and not marked else None
        state = self.session.snapshot.route_of(endpoint.id) if endpoint else None
        return self.context_of(
            row=key is not None, chosen=marked or (key in self.feed.rows), endpoint=endpoint, marked=bool(marked),
            route=state.revision if state else None,
        )  # fmt: skip

    @override
    async def chosen(self) -> tuple[Endpoint, ...]:
        keys: Sequence[str] = sorted(self.marks.marked) if self.marks.marked else [self.table.key or ""]
        found = await asyncio.to_thread(self.session.store.pages.rows, keys)
        return tuple(found[key] for key in keys if key in found)

    @override
    def note(self) -> str:
        return self.filter_error or endpoints.counted(len(self.feed.keys), self.known(), len(self.marks.marked))

    def known(self) -> int:
        """How many rows there are before the filter."""
        return self.session.snapshot.known if self.feed.query.terms else len(self.feed.keys)

    @override
    def filtered(self, query: Query) -> None:
        self.ask(query, self.feed.order)

    def ask(self, query: Query, order: Order) -> None:
        """Read other rows, or the same in another order."""
        if order != self.feed.order:
            sorting = Sorting(by=order.by, descending=order.descending)
            self.session.keep(orders={**self.session.kept.orders, self.PLACE: sorting})
        self.feed.ask(query, order)
        self.news()

    @override
    def decided(self) -> None:
        self._mark(Marks())

    @override
    def forms(self) -> tuple[str, ...]:
        return ("csv", "json", "svg")

    @override
    async def exported(self, form: str) -> str:
        if form == "svg":
            return await super().exported(form)
        found = await asyncio.to_thread(self._all_rows)
        return copy.value_json(found) if form == "json" else copy.as_csv(found, copy.FIELDS)

    def _all_rows(self) -> list[Endpoint]:
        """Every row that the filter shows, in order, a part at a time."""
        keys, found = list(self.feed.keys), []
        for start in range(0, len(keys), AT_ONCE):
            part = keys[start : start + AT_ONCE]
            rows = self.session.store.pages.rows(part)
            found += [rows[key] for key in part if key in rows]
        return found

    # Order and columns

    def _do_find_sort(self) -> None:
        self.ask(self.feed.query, endpoints.next_order(self.feed.order, self.columns))

    def _do_find_reverse(self) -> None:
        self.ask(self.feed.query, Order(self.feed.order.by, not self.feed.order.descending))

    @on(RowTable.Sorted)
    def _clicked(self, message: RowTable.Sorted) -> None:
        if message.table is not self.table:
            return
        if message.column == self.feed.order.by:
            self._do_find_reverse()
        else:
            self.ask(self.feed.query, endpoints.natural(message.column))

    @work
    async def _do_find_columns(self) -> None:
        choices = [Choice(column.id, column.title, column in self.columns) for column in endpoints.COLUMNS]
        picked = await self.app.push_screen_wait(Choose("Columns", choices, many=True))
        if picked:
            self.show_columns(tuple(picked))

    def show_columns(self, ids: tuple[str, ...]) -> None:
        """Show these columns from now on, in the order of the table."""
        self.columns = endpoints.chosen(ids, self.DEFAULT)
        self.session.keep(columns={**self.session.kept.columns, self.PLACE: ids})
        self.draw()

    # Saved views

    @work
    async def _do_find_views(self) -> None:
        views = self.session.snapshot.views
        if not views:
            self.app.notify("No view is saved yet: filter, then save it.", markup=False, timeout=3)
            return
        choices = [Choice(name, f"{name}  {text}") for name, text in views.items()]
        for name in await self.app.push_screen_wait(Choose("Saved views", choices)) or ():
            self.use_view(name)

    def use_view(self, name: str) -> str:
        """Use a saved view. What is wrong with it, or ""."""
        text = self.session.snapshot.views.get(name.removeprefix("@"))
        return self.set_filter(text) if text is not None else f"there is no saved view {name!r}"

    @work
    async def _do_find_save(self) -> None:
        about = [line(Run("filter  ", Tone.MUTED), self.filter_text or "everything")]
        fields = (Field("name", "A name for it", "", "open-notebooks"),)
        form = Form(
            "Save view", about, fields, lambda v: endpoints.view_name(v["name"]),
            lambda name, _: [line(f"for everybody: b, :view {name}, or gnomon endpoints @{name}")], verb="Save",
        )  # fmt: skip
        if name := await self.app.push_screen_wait(form):
            await self.save_view(name)

    async def save_view(self, name: str) -> None:
        """Save the filter under a name, for everybody who uses this inventory."""
        if not self.filter_text:
            self.app.notify("There is no filter to save: type one first.", severity="warning", markup=False)
            return
        save = partial(self.session.store.views.save, name, self.filter_text, who=self.session.settings.actor)
        try:
            await asyncio.to_thread(save)
        except REFUSALS as error:
            self.app.notify(str(error), title="Nothing was saved", severity="error", markup=False)
            return
        self.app.notify(f"Saved as {name}.", markup=False, timeout=3)
        await self.gnomon.action_look()

    # Marks

    @override
    def draw_pane(self) -> None:
        if self.marks.anchor is not None and self.table.key:
            extended = self.marks.extended(self.feed.keys, self.table.key)
            if extended != self.marks:
                self._mark(extended)
        super().draw_pane()

    def _do_mark_toggle(self) -> None:
        if key := self.table.key:
            self._mark(self.marks.toggled(key))
            self.table.step(1)

    def _do_mark_range(self) -> None:
        if key := self.table.key:
            self._mark(self.marks.ranged(key))

    def _do_mark_down(self) -> None:
        self._mark_and_step(1)

    def _do_mark_up(self) -> None:
        self._mark_and_step(-1)

    def _mark_and_step(self, rows: int) -> None:
        if key := self.table.key:
            self._mark(self.marks.added(key))
            self.table.step(rows)

    def _do_mark_all(self) -> None:
        self._mark(self.marks.all_or_none(self.feed.keys))

    def _mark(self, marks: Marks) -> None:
        self.marks = marks
        self.table.mark(marks.marked)
        self.draw_bars()

    def _do_go_up(self) -> bool:
        """Esc ends a range, then clears marks, then the filter. False where there is none of it."""
        if self.marks.anchor is not None or self.marks.marked:
            keep = self.marks.marked if self.marks.anchor is not None else frozenset()
            self._mark(Marks(keep))
            return True
        return self.clear_filter()
