"""Envoy as a gateway: the embedded default.

Pure: ``resources`` (routes to xDS resources), ``capture`` (what is logged of paired answers), ``hop`` (the way of
copies that need a buffer), ``bootstrap`` (what Envoy starts with), ``sync`` (the delta xDS protocol machine of one
node). At the edge: ``descriptors`` (protobuf messages, from the Envoy binary itself), ``ads`` (the gRPC server),
``process`` (the supervised Envoy), ``admin`` and ``stats`` (its administration socket), ``gateway`` (the composition).
Protobuf and gRPC are imported nowhere else.
"""
