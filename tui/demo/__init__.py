"""``gnomon demo``: the whole story on real servers on loopback.

Here live the servers of the story (``servers/``), the warden that starts them and outlives nobody
(``warden``, ``process``), the caller that counts every failure (``traffic``) and the narrative
(``story``). What finds, records and governs them is gnomon's own code in the other packages: nothing
here knows a better way to scan or to route.
"""
