"""Blemishes on skin: where they are painted, in which forms, by which stamps."""
