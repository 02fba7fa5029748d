"""Image in, image out: diffusers pipelines and the retouch simulator."""
