"""What is known: the domain's values, the pure rules over them, and one database at the edge.

Here live scopes, scans, observations, endpoints, routes and everything that can be said of them
without asking a network. Not here: how anything is found (``scanner``), how it is moved
(``router``), how it is shown (``tui``). This layer imports none of those.
"""
