"""What runs in a Kubernetes cluster, and what declares it. Pure: values in, values out.

What lives here: the resources that are read, what is kept of their objects, who leads to whom, and what
follows: candidates, owners, exposures, standings. What doesn't: talking to an API server
(``scanner.io.kubernetes``), and the order of the work (``scanner.listing``, ``scanner.sources.kubernetes``).
"""
