"""Natural blemishes: found on real skin by landmarks and contrast, and retouched as people do."""
