"""What scrolls: a view on lines whose number changes all the time."""

from textual.geometry import Size
from textual.reactive import Reactive
from textual.scroll_view import ScrollView


class Scrolled(ScrollView):
    """A scroll view whose extent changes without a new layout of the screen around it, which would draw all of it."""

    def reach(self, height: int) -> None:
        """There are so many lines now; the scroll stays where it is, as far as they reach."""
        size = Size(self.size.width, height)
        if size == self.virtual_size:
            return
        self.set_reactive(self._extent(), size)
        self.vertical_scrollbar.window_virtual_size = height
        if self.scroll_y > self.max_scroll_y:
            self.set_scroll(None, self.max_scroll_y)

    @staticmethod
    def _extent() -> Reactive[Size]:
        """The reactive behind ``virtual_size``: setting it in the ordinary way lays the screen out."""
        return ScrollView.virtual_size
