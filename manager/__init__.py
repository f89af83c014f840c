"""The command line, the pipeline, and what is made of verdicts."""
