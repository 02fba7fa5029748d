"""ComfyUI nodes: they convert pictures and call pipelines/; `host` alone knows the host."""
