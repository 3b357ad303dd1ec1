"""The addresses of this machine, against what the kernel says of a socket."""

import socket

from router.io.addresses import local_of_trie, own_addresses

TRIE = """Main:
  +-- 0.0.0.0/0 3 0 5
     |-- 0.0.0.0
        /0 universe UNICAST
     +-- 10.0.0.0/24 2 0 2
        |-- 10.0.0.0
           /24 link UNICAST
        |-- 10.0.0.7
           /32 host LOCAL
        |-- 10.0.0.255
           /32 link BROADCAST
     +-- 127.0.0.0/8 2 0 2
        |-- 127.0.0.0
           /8 host LOCAL
        |-- 127.0.0.1
           /32 host LOCAL
"""


def test_only_whole_local_addresses_are_read():
    assert local_of_trie(TRIE) == {"10.0.0.7", "127.0.0.1"}


def test_an_address_that_a_socket_binds_to_is_among_them():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[0] in own_addresses()
