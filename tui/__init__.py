"""Everything a person types at or looks at in a terminal.

Here live the command line, the composition root and the Textual application with its screens, widgets and
pure view models. What is known and how it is stored is ``inventory``; finding is ``scanner``; governing is
``router``. This module imports nothing, so that ``gnomon --help`` starts without Textual.
"""
