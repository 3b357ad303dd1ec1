import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scanner.middlebox import CONFIRMING, SUSPICIOUS, Advice, Middleboxes, confirming_ports

ports = st.lists(st.integers(1, 65535), unique=True, max_size=60)


@given(ports, st.booleans(), st.integers(0, 60))
def test_an_address_is_asked_a_few_ports_or_all_of_them(some: list[int], accepts_all: bool, late: int) -> None:
    known = Middleboxes()
    asked: list[int] = []
    advice: Counter[Advice] = Counter()
    judged = False
    for count, port in enumerate(some):
        said = known.opened("10.0.0.1", port)
        advice[said] += 1
        if said is Advice.ASK:
            asked.append(port)
        # The verdict comes some ports after the question.
        if advice[Advice.CONFIRM] and not judged and count >= SUSPICIOUS + late:
            asked += known.judged("10.0.0.1", accepts_all)
            judged = True
    assert advice[Advice.CONFIRM] == (1 if len(some) > SUSPICIOUS else 0)
    if judged and accepts_all:
        assert asked == some[:SUSPICIOUS]
        assert known.confirmed == {"10.0.0.1": min(some)}
        assert known.held == 0
    else:
        assert len(asked) + known.held == len(some)
        assert len(set(asked)) == len(asked)
        assert not known.confirmed
        assert known.held == 0 or not judged


def test_addresses_are_judged_apart() -> None:
    known = Middleboxes()
    said = [known.opened(f"10.0.0.{host}", port) for port in range(1, SUSPICIOUS + 1) for host in range(50)]
    assert set(said) == {Advice.ASK}


def test_confirming_ports_are_high_different_and_not_among_the_scanned() -> None:
    used = set(range(49152, 65530))
    chosen = confirming_ports(used, random.Random(1))
    assert len(set(chosen)) == CONFIRMING
    assert set(chosen) <= set(range(65530, 65536))


def test_a_scan_of_every_port_is_confirmed_by_ports_it_has_too() -> None:
    assert len(set(confirming_ports(range(1, 65536), random.Random(1)))) == CONFIRMING
