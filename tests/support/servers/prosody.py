"""Debian's Prosody in the foreground."""

import shutil
from pathlib import Path
from string import Template

from tests.support.servers.base import Server, ServerError
from tests.support.servers.process import ServerProcess

__all__ = ["Prosody"]

HERE = Path(__file__).parent


class Prosody(Server):
    """Prosody 0.12 (Debian 12)."""

    name = "prosody"
    websocket_path = "/xmpp-websocket"
    bosh_path = "/http-bind"

    def _start(self) -> ServerProcess:
        if shutil.which("prosody") is None:
            raise ServerError("prosody is not installed (apt-get install prosody)")
        modules = self.folder / "modules"
        modules.mkdir(exist_ok=True)
        shutil.copy(HERE / "mod_amoc_counter.lua", modules)
        configuration = Template((HERE / "prosody.cfg.lua").read_text()).substitute(
            port=self.port,
            tls_port=self.tls_port,
            http_port=self.http_port,
            https_port=self.https_port,
            folder=self.folder,
            key=self.certificate.key,
            certificate=self.certificate.certificate,
        )
        (self.folder / "prosody.cfg.lua").write_text(configuration)
        return ServerProcess(["prosody", "-F", "--config", str(self.folder / "prosody.cfg.lua")], self.folder, {})
