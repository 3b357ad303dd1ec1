"""Screens: each joins widgets to a view model and carries out the actions of its place.

What a screen says is made by ``tui.viewmodel``; what it changes goes through ``tui.changes``. No screen
reads the store while drawing.
"""
