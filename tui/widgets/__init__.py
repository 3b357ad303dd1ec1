"""Widgets that draw what a view model says: a table, a document, one-line bars and small forms.

A widget knows tones, cells and keys, and nothing of endpoints or routes. Whatever text it draws is a
segment, never markup.
"""
