"""Who plays in the demonstration: each server, its address on the stage, and how it is started."""

import errno
import socket
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import tui
from tui.demo.process import DemoError, Program, port_problem

STAGES = tuple(f"127.61.{number}" for number in range(7, 15))
"""The loopback subnets, without the last number, that a demonstration may use: several may run at once."""

ORIGINAL = "flask-model"
REPLACEMENT = "fastapi-model"
REPLACEMENT_SAYS = "fastapi"
"""What the replacement's answers carry in their header ``X-Served-By``."""

NEEDED = ("flask", "fastapi", "uvicorn", "jupyter_server", "streamlit", "numpy")
"""What the servers import: the packages of the extra ``demo``."""

_CLAIM = (254, 47617)
"""The last number of the address, and the port, whose binding claims a subnet."""

_SERVERS = Path(__file__).parent / "servers"
_NOTEBOOKS, _JUPYTER = "notebooks", "jupyter"


def check_installed(modules: Iterable[str] = NEEDED) -> None:
    """Whether the servers' own packages are there. Raises DemoError with what to install."""
    missing = [name for name in modules if find_spec(name) is None]
    if missing:
        raise DemoError(
            f"the demonstration serves with {', '.join(missing)}: install them by pip install 'gnomon[demo]'"
        )


@contextmanager
def claim_stage() -> Iterator[str]:
    """The first subnet, as ``127.61.7``, that no other demonstration has and where every port of the cast is free.

    It is claimed by a socket that is bound and says nothing, so that the kernel gives the claim back whatever
    becomes of this process. Raises DemoError.
    """
    problem = "every subnet that it may use has a demonstration running"
    for stage in STAGES:
        with socket.socket() as claim:
            try:
                claim.bind((f"{stage}.{_CLAIM[0]}", _CLAIM[1]))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    problem = f"nothing can listen on {stage}.{_CLAIM[0]}: {error.strerror}"
                continue
            places = [(program.address, program.port) for program in programs(stage, Path())]
            taken = next((found for place in places if (found := port_problem(*place))), None)
            if taken is None:
                yield stage
                return
            problem = taken
    raise DemoError(f"the demonstration cannot start: {problem}")


def make_folder(folder: Path) -> Path:
    """Make the folder that the cast writes into, with what it must find there, for this user alone."""
    folder.mkdir(mode=0o700)
    for inside in (_NOTEBOOKS, _JUPYTER):
        (folder / inside).mkdir(mode=0o700)
    return folder


def programs(stage: str, folder: Path) -> tuple[Program, ...]:
    """The whole cast on that subnet; what they write goes into ``folder``."""
    return (
        _module(ORIGINAL, "flask_model", f"{stage}.11", 5000),
        _module(REPLACEMENT, "fastapi_model", f"{stage}.12", 8000, "/healthz"),
        # Everything that a stranger may GET is a 404 here, which is ready enough.
        _module("fastapi-quiet", "fastapi_quiet", f"{stage}.13", 8000, "/openapi.json", ready_status=404),
        _jupyter(f"{stage}.21", 8888, folder),
        _streamlit(f"{stage}.22", 8501),
        _module("flask-shop", "flask_shop", f"{stage}.31", 5000),
        _module("status-page", "status_page", f"{stage}.32", 8080, "/health"),
    )


def _module(name: str, module: str, address: str, port: int, ready_path: str = "/", ready_status: int = 200) -> Program:
    # -P: the working folder is no place to import from; the notebook server lets strangers write near it.
    argv = (sys.executable, "-P", "-m", f"tui.demo.servers.{module}", address, str(port))
    return Program(name, argv, address, port, ready_path, ready_status, _this_code())


def _jupyter(address: str, port: int, folder: Path) -> Program:
    """Open to everybody, as many are found; but without kernels and terminals, so it runs no code."""
    own = str(folder / _JUPYTER)
    argv = (
        *(sys.executable, "-P", "-m", "jupyter_server", "--allow-root", "--no-browser"),
        *(f"--ServerApp.ip={address}", f"--ServerApp.port={port}", "--ServerApp.port_retries=0"),
        *("--IdentityProvider.token=", "--PasswordIdentityProvider.hashed_password="),
        *(f"--ServerApp.root_dir={folder / _NOTEBOOKS}", "--ServerApp.terminals_enabled=False"),
        *("--KernelSpecManager.ensure_native_kernel=False", "--KernelSpecManager.allowed_kernelspecs=none"),
    )
    environment = {
        **{f"JUPYTER_{what}_DIR": own for what in ("CONFIG", "DATA", "RUNTIME")},
        "IPYTHONDIR": own,
        "TMPDIR": own,
        "JUPYTER_NO_CONFIG": "1",
        "JUPYTER_PLATFORM_DIRS": "1",
    }
    return Program("jupyter", argv, address, port, "/api", environment=environment)


def _streamlit(address: str, port: int) -> Program:
    argv = (
        *(sys.executable, "-P", "-m", "streamlit", "run", str(_SERVERS / "streamlit_app.py")),
        *(f"--server.address={address}", f"--server.port={port}", "--server.headless=true"),
        *("--server.fileWatcherType=none", "--browser.gatherUsageStats=false"),
    )
    return Program("streamlit", argv, address, port, "/_stcore/health", environment=_this_code())


def _this_code() -> dict[str, str]:
    """Where the servers find the package that this code is of, installed or not."""
    return {"PYTHONPATH": str(Path(tui.__file__).resolve().parents[1])}
