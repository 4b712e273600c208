"""The control file, the journal and the acknowledgement of a run: what is written, in which order, by whom."""
