"""Objects to verdicts: one file an engine, `pool` to run all of them at once on this host."""
