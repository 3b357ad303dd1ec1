"""Where the files of one Envoy are, all private to this user."""

import hashlib
import os
import tempfile
from pathlib import Path

from router.errors import GatewayError
from router.gateways import calls_file, capture_file

# sockaddr_un holds 108 bytes on Linux, 104 elsewhere, with a zero at the end.
_LONGEST_SOCKET = 100

# What Envoy makes of the path that it is given for hot restarts, with the longest number that it puts behind it.
_LONGEST_NAME = f"hot_udp_child_{2**64}"


_BOOTSTRAP = "bootstrap-"


class Files:
    """The paths under a state folder. ``prepare`` makes what must be there."""

    def __init__(self, state_folder: Path) -> None:
        """Under an absolute folder, which may not exist yet."""
        self.folder = state_folder.absolute() / "gateway"
        self.log = self.folder / "envoy.log"
        self.pid = self.folder / "envoy.pid"
        self.base = self.folder / "envoy.base"
        self.lastgood = self.folder / "lastgood.json"
        self.standalone = self.folder / "standalone.json"
        self.certificate = self.folder / "certificate.json"
        self.capture = capture_file(state_folder.absolute())
        self.calls = calls_file(state_folder.absolute())
        self.governance = self.folder / "governance.json"
        self.sockets = self._sockets()
        self.xds = self.sockets / "xds.sock"
        self.admin = self.sockets / "admin.sock"
        self.ask = self.sockets / "ask.sock"
        self.hot = self.sockets / "hot"

    def configuration(self, text: str) -> Path:
        """Where what an Envoy starts with is: another file for each text, so that a command line tells which it has."""
        return self.folder / f"{_BOOTSTRAP}{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}.json"

    def made(self, configuration: Path) -> bool:
        """Whether a path is one that ``configuration`` gives."""
        return configuration.parent == self.folder and configuration.name.startswith(_BOOTSTRAP)

    def _sockets(self) -> Path:
        """The folder of the sockets: elsewhere where the path would be too long for one."""
        if len(str(self.folder / _LONGEST_NAME)) <= _LONGEST_SOCKET:
            return self.folder
        digest = hashlib.blake2b(str(self.folder).encode(), digest_size=8).hexdigest()
        return Path(tempfile.gettempdir()) / f"gnomon-{os.getuid()}-{digest}"

    def prepare(self) -> None:
        """Make the folders, and the files that Envoy appends to. GatewayError where that cannot be."""
        try:
            for folder in (self.folder, self.capture.parent, self.calls.parent, self.sockets):
                folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                    raise GatewayError(f"{folder} belongs to another user: set state_folder to one of your own")
                folder.chmod(0o700)
            for file in (self.capture, self.calls):
                os.close(os.open(file, os.O_CREAT | os.O_WRONLY, 0o600))
                file.chmod(0o600)
        except OSError as error:
            reason = error.strerror or str(error)
            raise GatewayError(
                f"the gateway cannot keep its files under {self.folder.parent}: {reason}; set state_folder"
            ) from error
