"""A server that is started for the suite, and stopped with it; and the suite's own ports."""

import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent


def free_port():
    """A TCP port nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(command, ready, log, environment=None):
    """Runs a server until the block ends. It is up when `ready()` gives something, which the block
    gets; what it writes goes to the file `log`."""
    with open(log, "wb") as written:
        process = subprocess.Popen(command, stdout=written, stderr=written, env={**os.environ, **(environment or {})})
    try:
        yield _await(process, ready, log)
    finally:
        process.terminate()
        process.wait()


def _await(process, ready, log):
    for _ in range(600):
        if process.poll() is not None:
            break
        if (outcome := ready()) is not None:
            return outcome
        time.sleep(0.05)
    text = Path(log).read_text() if Path(log).is_file() else ""
    sys.exit(f"{process.args[0]} is not ready (status {process.poll()}):\n{text}")


def listening(port):
    """For `ready`: True once something listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return None
    return True


def run_suite(directory, ca_file, http, tls, dns, *arguments):
    """Runs the suite; gives pytest's exit status."""
    return subprocess.run(
        [HERE / "run", "--directory", directory, "--ca-file", ca_file, "--http-port", str(http),
         "--tls-port", str(tls), "--dns", f"127.0.0.1:{dns}", *arguments]).returncode
