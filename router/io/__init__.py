"""The router's HTTP: what it serves beside the gateway (tokens, authorisation) and what it fetches (keys, decisions).

Nothing is decided here.
"""
