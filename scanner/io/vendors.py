"""Who made a network interface: the first half of its hardware address, as scapy's copy of the IEEE's list has it."""

_LOCAL = 0x02
"""The bit of an address that nobody assigned: virtual machines, containers, telephones that hide (IEEE 802)."""


def vendor(hardware: str) -> str | None:
    """The vendor of an address such as ``b8:27:eb:00:00:01``. None where the list has none."""
    # What fills ``conf.manufdb`` when it is imported.
    import scapy.data  # noqa: F401
    from scapy.config import conf

    if int(hardware[:2], 16) & _LOCAL:
        return None
    _, name = conf.manufdb.lookup(hardware)
    return None if name.lower() == hardware.lower() else str(name)


def described(hardware: str) -> str:
    """A hardware address with its vendor, in words."""
    if int(hardware[:2], 16) & _LOCAL:
        return f"hardware address {hardware}, which no vendor assigned: a virtual interface, or one that hides"
    name = vendor(hardware)
    return f"hardware address {hardware}" + (f" of {name}" if name else "")
