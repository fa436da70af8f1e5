"""Entry points, and the pipeline that they share."""
