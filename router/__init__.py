"""How an endpoint is brought under governance: desired routes, plans, gateways, shadow evidence.

Pure modules in the middle: ``desired`` (edits of a route), ``observed`` and ``plan`` (what a gateway has,
and what must be done to it), ``stages`` (how far an endpoint has come). At the edge: ``gateways`` (one package
for each kind of gateway), ``shadow`` (capture and comparison of paired answers) and ``controller`` (the
level-triggered loop that joins them to the store). Nothing here scans, and nothing here talks to a person.
"""
