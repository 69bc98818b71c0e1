"""An index of packages on loopback: what is installed for these tests, packed into wheels again."""

from __future__ import annotations

import email
import http.server
import re
import threading
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Self


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class PackageIndex:
    """Serves wheels as PEP 503 and PEP 658 say. Each is packed when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []  # names of projects
        self._folder = folder
        self._lock = threading.Lock()  # guards the folder: a wheel is packed once
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/simple/"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(index) -> type[http.server.SimpleHTTPRequestHandler]:  # noqa: N805
        class Handler(http.server.SimpleHTTPRequestHandler):
            def __init__(self, *arguments: object) -> None:
                super().__init__(*arguments, directory=str(index._folder))

            def do_GET(self) -> None:
                place, _, name = self.path.strip("/").partition("/")
                if place != "simple":
                    super().do_GET()
                    return
                page = index._project(name)
                self.send_response(200 if page else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_: object) -> None:
                pass

        return Handler

    def _project(self, name: str) -> bytes:
        self.asked.append(name)
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            return b""
        with self._lock:
            wheel = self._folder / file_name(found)
            if not wheel.exists():
                pack(found, wheel)
        return f'<a href="/{wheel.name}" data-core-metadata="true">{wheel.name}</a>'.encode()


def tags_of(found: metadata.Distribution) -> list[str]:
    wheel = email.message_from_string(found.read_text("WHEEL") or "")
    return wheel.get_all("Tag") or ["py3-none-any"]


def file_name(found: metadata.Distribution) -> str:
    """Return the name of its wheel; the tags of several platforms are joined as PEP 425 has it."""
    parts = [tag.split("-") for tag in tags_of(found)]
    tag = "-".join(".".join(dict.fromkeys(column)) for column in zip(*parts, strict=True))
    return f"{canonical(found.name).replace('-', '_')}-{found.version}-{tag}.whl"


def pack(found: metadata.Distribution, wheel: Path) -> None:
    """Pack the files that a distribution says it has installed, but for its own tests."""
    info = f"{wheel.name.split('-')[0]}-{found.version}.dist-info"
    left_out = {"INSTALLER", "RECORD", "REQUESTED", "direct_url.json"}
    names = []
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in found.files or ():
            parts = file.parts
            if ".." in parts or "__pycache__" in parts or "tests" in parts:
                continue
            if parts[0].endswith(".dist-info"):
                if file.name in left_out:
                    continue
                parts = (info, *parts[1:])
            names.append("/".join(parts))
            archive.write(file.locate(), names[-1])
        names.append(f"{info}/RECORD")
        archive.writestr(names[-1], "".join(f'"{name}",,\n' for name in names))
    wheel.with_name(f"{wheel.name}.metadata").write_text(found.read_text("METADATA") or "")
