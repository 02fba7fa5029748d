"""FRR: face retouching restoration (MoFRR) as diffusers pipelines and a ComfyUI node pack."""

__version__ = "0.1.0"
