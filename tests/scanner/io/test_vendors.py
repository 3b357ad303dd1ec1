import pytest

from scanner.io.vendors import described, vendor


@pytest.mark.parametrize(("hardware", "name"), [("b8:27:eb:12:34:56", "Raspberry Pi"), ("00:0c:29:01:02:03", "VMware")])
def test_a_vendor_is_known_by_the_first_half_of_its_addresses(hardware, name):
    found = vendor(hardware)
    assert found is not None
    assert found.startswith(name)
    assert described(hardware) == f"hardware address {hardware} of {found}"


@pytest.mark.parametrize(
    ("hardware", "words"),
    [
        ("02:42:ac:11:00:02", "which no vendor assigned"),
        ("00:00:00:00:00:00", "hardware address 00:00"),
        ("fc:ff:ff:ff:ff:ff", "hardware address fc:ff"),
    ],
)
def test_what_nobody_assigned_is_said_to_be_so(hardware, words):
    assert words in described(hardware)


def test_an_unassigned_prefix_has_no_vendor():
    assert vendor("fc:ff:ff:ff:ff:ff") is None
