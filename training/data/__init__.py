"""What training and judging are fed with: faces, pairs, datasets, retouched batches, pools."""
