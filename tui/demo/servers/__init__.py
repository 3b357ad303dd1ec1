"""The programs that the demonstration finds: each a small real server, run as a process of its own.

They import nothing of gnomon but ``model`` beside them, as the servers that a scan meets would not
either. How they are started, on which address, is in ``tui.demo.cast``.
"""
