"""The stage: what it takes, and what it leaves to others."""

import socket

import pytest

from inventory.settings import Settings
from inventory.store import open_store
from router.errors import GatewayError
from tui.demo import stage
from tui.demo.process import DemoError
from tui.wiring import gateway_service


def test_nothing_of_the_users_is_used(tmp_path):
    theirs = Settings()
    own = stage.own_settings(theirs, tmp_path)
    assert own.database == f"sqlite:///{tmp_path}/inventory.db"
    assert own.state_folder.is_relative_to(tmp_path)
    assert own.state_folder.stat().st_mode & 0o077 == 0
    assert own.gateway_domain == theirs.gateway_domain


def test_a_gateway_port_that_is_taken_is_left_to_its_owner(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        own = stage.own_settings(Settings(gateway_port=taken), tmp_path)
    assert own.gateway_port not in {taken, 0}


def test_gateways_of_stages_set_up_together_do_not_meet(tmp_path):
    ports = [stage.own_settings(Settings(), tmp_path, place).gateway_port for place in range(3)]
    assert len(set(ports)) == 3


async def test_programs_that_listen_on_all_addresses_are_told_apart():
    with socket.socket() as everywhere, socket.socket() as elsewhere:
        everywhere.bind(("0.0.0.0", 0))
        everywhere.listen()
        elsewhere.bind(("127.61.80.1", 0))
        elsewhere.listen()
        ports = [each.getsockname()[1] for each in (everywhere, elsewhere)]
        assert await stage.answered_everywhere("127.61.80.0/24", ports) == ports[:1]


async def test_what_is_awaited_comes_or_is_missed():
    seen = iter([None, None, "there"])
    assert await stage.eventually(lambda: next(seen), 5.0, "it did not come") == "there"
    with pytest.raises(DemoError, match=r"it did not come within 0\.05 s"):
        await stage.eventually(lambda: None, 0.05, "it did not come")


async def test_a_gateway_that_fails_ends_the_story_at_once(tmp_path):
    """A port that is taken between choosing it and listening: the story does not wait for a gateway in vain."""
    own = stage.own_settings(Settings(), tmp_path)
    with socket.socket() as thief, open_store(own.database, own) as store:
        thief.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        thief.bind((own.gateway_address, own.gateway_port))
        thief.listen()
        with pytest.raises(GatewayError, match=str(own.gateway_port)):
            async with stage._running(gateway_service(store, own, detached=False)):
                await stage.eventually(lambda: None, 30.0, "the gateway did not fail")
