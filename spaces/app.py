"""A Hub Space: the page of `frr app`, under the Space's own host name."""

import os

from frr.cli import main

# SPACE_HOST holds the Space's names, parted by commas.
names = [f"--name={name}" for name in os.environ.get("SPACE_HOST", "").split(",") if name]
port = os.environ.get("GRADIO_SERVER_PORT", "7860")
main(["app", "--host=0.0.0.0", f"--port={port}", *names], prog_name="frr")
