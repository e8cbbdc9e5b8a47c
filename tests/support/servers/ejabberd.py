"""Debian's ejabberd, without `ejabberdctl` (it changes user) and Erlang distribution (it starts epmd)."""

import os
import subprocess
from pathlib import Path
from string import Template
from typing import Any

from tests.support.servers.base import Server, ServerError
from tests.support.servers.process import ServerProcess

__all__ = ["Ejabberd"]

HERE = Path(__file__).parent


class Ejabberd(Server):
    """ejabberd 23.01 (Debian 12); its HTTP API is at `/api` of `http_port` (`api`)."""

    name = "ejabberd"
    websocket_path = "/ws"
    bosh_path = "/bosh"

    def _start(self) -> ServerProcess:
        configuration = Template((HERE / "ejabberd.yml").read_text()).substitute(
            address="127.0.0.1",
            friends="127.0.0.0/8",
            port=self.port,
            tls_port=self.tls_port,
            http_port=self.http_port,
            https_port=self.https_port,
            certificate=self.certificate.both,
            folder=self.folder,
        )
        (self.folder / "ejabberd.yml").write_text(configuration)
        environment = {
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.folder / "ejabberd.log"),
            "ERL_LIBS": str(_libraries()),
            "ERL_MAX_PORTS": "20000",
            "ERL_CRASH_DUMP_SECONDS": "0",
            "HOME": str(self.folder),
        }
        compiled = subprocess.run(
            ["erlc", "-o", str(self.folder), str(HERE / "mod_amoc_counter.erl")],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        if compiled.returncode != 0:
            raise ServerError(f"erlc: {compiled.stdout}{compiled.stderr}")
        return ServerProcess(
            [
                *("erl", "+K", "true", "+P", "1000000", "+Q", "65536", "-pa", str(self.folder)),
                *("-mnesia", "dir", f'"{self.folder / "mnesia"}"', "-s", "ejabberd", "-noinput"),
            ],
            self.folder,
            environment,
        )

    def api(self, command: str, arguments: str = "{}") -> Any:
        """One command of ejabberd's own HTTP API, with JSON arguments: `connected_users_number`, …"""
        return self.request("POST", f"/api/{command}", arguments)


def _libraries() -> Path:
    """The folder that Debian keeps ejabberd's Erlang application in."""
    for application in Path("/usr/lib").glob("*/ejabberd-*/ebin/ejabberd.app"):
        return application.parents[2]
    raise ServerError("ejabberd is not installed (apt-get install ejabberd)")
