"""The report: one HTML file that proves, to somebody who was not there, what is covered and what is not.

Here lives what is read for it (``facts``), how it is laid out (``page`` and its ``sections``), and the little markup
that needs (``markup``). What the figures mean is ``inventory``'s; what a terminal shows is elsewhere in ``tui``.
"""
