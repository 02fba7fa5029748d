"""BPFRe: blemishes found and retouched, holes filled."""
