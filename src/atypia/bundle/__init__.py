"""Everything needed to classify, in one directory: save, load, verify, model card."""
