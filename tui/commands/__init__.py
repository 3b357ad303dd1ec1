"""The commands, a module for each part of the work. Each has ``register(app)``.

A command reads its options, asks ``tui.wiring`` for what it needs, calls the layer that does the
work and writes the answer through ``tui.output``. Decisions are not made here.
"""
