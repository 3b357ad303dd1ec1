"""The process that sends frames for ``scanner.io.prober``: ``python -m scanner.io.probing PARENT``.

It reads what to do from stdin and tells on stdout what came of it. It ends with the process that began it, whatever
ends that one: a scan that is resumed must be alone with its record.
"""

import os
import pickle
import sys
import threading
from contextlib import suppress
from typing import Any

from scanner.io.bound import end_with


def main() -> None:
    """Obey until there is nothing more to do."""
    end_with(int(sys.argv[1]))
    # Whatever prints writes to stderr, and not among the words.
    words = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def tell(one: object) -> None:
        pickle.dump(one, words)
        words.flush()

    try:
        _obey(tell)
    except (EOFError, BrokenPipeError):
        pass
    except OSError as error:
        tell(error)
    # Not by returning: a thread may wait for words on stdin still.
    sys.stderr.flush()
    os._exit(0)


def _read() -> Any:
    return pickle.load(sys.stdin.buffer)  # noqa: S301 (from the process that began this one)


def _obey(tell: Any) -> None:
    # All that probing takes, while there is time: whoever began this process has work of its own to do first.
    import scapy.layers.inet
    import scapy.layers.l2  # noqa: F401

    from scanner.io import packets  # noqa: F401
    from scanner.io.prober import Hold, Job, Look
    from scanner.io.ways import find_ways, read_routes

    here = read_routes()
    held = False
    while True:
        words = _read()
        if isinstance(words, Look):
            tell(find_ways(words.addresses, here))
        elif isinstance(words, Hold):
            held = words.held
        elif isinstance(words, Job):
            _probe(words, tell, held=held)
            return


def _probe(job: Any, tell: Any, *, held: bool) -> None:
    from scanner.batches import batches
    from scanner.io.packets import SynScan
    from scanner.io.prober import Ended, Hold, Stop, Told

    manners, record = job.manners, job.record.open()
    manners.pacer.held = held

    def deliver(tally: Any) -> None:
        tell(Told(tally, manners.meter, manners.back_off))

    scan = SynScan(batches(job.plan, record.base), job.ways, manners, deliver, timeout=job.patience, record=record)

    def obey() -> None:
        with suppress(EOFError):
            while not isinstance(words := _read(), Stop):
                if isinstance(words, Hold):
                    manners.pacer.held = words.held
        scan.stop()

    threading.Thread(target=obey, daemon=True).start()
    error = None
    try:
        scan.run()
    except OSError as trouble:
        error = trouble
    tell(Ended(record.taken, manners.meter, manners.back_off, manners.pacer, manners.caps, error))


if __name__ == "__main__":
    main()
