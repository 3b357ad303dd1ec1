"""Pure view models: domain values in, lines of toned text out.

Nothing here imports Textual, touches the store or knows the time: a screen passes all three in. Each text
that a scanned host may have said goes through ``text.clean`` before it becomes part of a line. Widgets, keys
and colours live elsewhere; these modules name a tone and a theme decides how it looks.
"""
